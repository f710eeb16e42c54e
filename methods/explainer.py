"""What an explainer is. A method is a small subclass of `Explainer` that fills in `attribute`."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import numpy as np

from ..datasets.clip import Clip
from ..errors import NotApplicable
from ..keys import rng
from ..models.recogniser import Recogniser, Scores
from .attribution import Attribution

T = TypeVar("T")


class SharedWork:
    """What explanations of one clip by one recogniser share, each piece made once.

    Attributes
    ----------
    spared : int
        Model calls of pieces that were found here instead of made again; only ever grows. What an explanation costs
        on its own is what it took plus what it was spared.
    """

    def __init__(self) -> None:
        self.spared = 0
        self._made: dict[Hashable, tuple[Any, int]] = {}

    def once(self, key: Hashable, make: Callable[[], T], recogniser: Recogniser) -> T:
        """Value of `make`, called at its first request; what it raises is not kept.

        Parameters
        ----------
        key : hashable
            Says everything the value depends on beyond clip and recogniser.
        make : callable
        recogniser : Recogniser
            Whose calls are counted.
        """
        if key in self._made:
            value, calls = self._made[key]
            self.spared += calls
            return value
        before = recogniser.calls
        value = make()
        self._made[key] = value, recogniser.calls - before
        return value


@dataclass(frozen=True)
class Request:
    """One explanation asked for.

    Attributes
    ----------
    recogniser : Recogniser
    clip : Clip
    target : str
        The class to explain; the recogniser knows it.
    seed : tuple
        Parts of the seed of every draw: the cell's identity, never a global stream.
    base : Attribution, optional
        The attribution of the method's `base`, where it names one and the harness already has it.
    contrast : str, optional
        A class to explain the target against: why that one rather than this.
    shared : SharedWork
        Of all requests for this recogniser and clip, whatever their target, method and seed; by default of this alone.
    """

    recogniser: Recogniser
    clip: Clip
    target: str
    seed: tuple = ()
    base: Attribution | None = None
    contrast: str | None = None
    shared: SharedWork = field(default_factory=SharedWork, repr=False, compare=False)

    @property
    def target_index(self) -> int:
        """Column of the target class.

        Raises
        ------
        NotApplicable
            If a contrast of two classes is asked for, which has no column; methods that know contrasts ask `response`.
        """
        if self.contrast is not None:
            raise NotApplicable(f"this method explains one class, not the contrast {self.label!r}")
        return self.recogniser.class_index(self.target)

    @property
    def label(self) -> str:
        """What is explained: the target, or ``target-contrast``."""
        return self.target if self.contrast is None else f"{self.target}-{self.contrast}"

    def response(self, scores: Scores) -> Scores:
        """The scalar explained, from log-odds or logits of every class: see `Recogniser.response`."""
        return self.recogniser.response(scores, self.target, self.contrast)

    def generator(self, *extra: Any) -> np.random.Generator:
        """Random generator of this request, the same whenever it is asked for again."""
        return rng(*self.seed, *extra)


class Explainer(ABC):
    """Base of all explanation methods, in scikit-learn's style: parameters are attributes, no work in ``__init__``.

    Attributes
    ----------
    name : str
        As registered.
    stochastic : bool
        Whether another seed gives another attribution.
    base : str or None
        Method whose attribution this one starts from.
    """

    name: str
    stochastic: bool = False
    base: str | None = None

    @abstractmethod
    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Raises
        ------
        NotApplicable
            If the method cannot explain this recogniser or clip, with the reason.
        ClipError
            If this clip cannot be explained.
        """

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """Model calls of one explanation, fill-up included; 0 for methods that ask the recogniser nothing.

        Parameters
        ----------
        n_samples : int
            Length of the clip.
        recogniser : Recogniser

        Raises
        ------
        NotApplicable
            As `attribute`, where length and recogniser alone tell.
        """
        return 0

    def calls_of(self, request: Request) -> int:
        """Model calls of one explanation of a request; unlike `calls`, it may look at the clip."""
        return self.calls(request.clip.samples.size, request.recogniser)

    def shares(self, request: Request) -> Hashable | None:
        """Key under which this explanation's model calls are shared (`SharedWork`); None where they are its own."""
        return None

    def get_params(self) -> dict[str, Any]:
        """Parameters by name; part of the explanation's key."""
        return {name: getattr(self, name) for name in _parameters(type(self))}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"


@cache
def _parameters(kind: type[Explainer]) -> tuple[str, ...]:
    """Names of a class's parameters; kept, since they are part of every cell's key."""
    return tuple(n for n in inspect.signature(kind.__init__).parameters if n not in ("self", "args", "kwargs"))
