"""Base class of explanation methods, the request they answer, and the cache they share.

A method subclasses `Explainer` and implements `attribute`.
"""

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
from ..keys import Seed, rng
from ..models.recogniser import Recogniser, Scores
from .attribution import Attribution

T = TypeVar("T")


class SharedWork:
    """Cache of intermediate results shared by the explanations of one clip and recogniser.

    Parameters
    ----------
    keep : callable, optional
        Takes a key and a function that makes an array, and returns the array; see `kept`.

    Attributes
    ----------
    spared : int
        Model calls saved by cache hits; never decreases. The stand-alone cost of an explanation is the calls it made
        plus those it was spared.
    """

    def __init__(self, keep: Callable[[str, Callable[[], np.ndarray]], np.ndarray] | None = None) -> None:
        self.spared = 0
        self._keep = keep
        self._cache: dict[Hashable, tuple[Any, int]] = {}

    def once(self, key: Hashable, make: Callable[[], T], recogniser: Recogniser) -> T:
        """Return the cached value of `make`, which is called at the first request; exceptions are not cached.

        Parameters
        ----------
        key : hashable
            Identifies everything the value depends on, apart from clip and recogniser.
        make : callable
        recogniser : Recogniser
            Whose calls are counted.
        """
        value: T
        if key in self._cache:
            value, calls = self._cache[key]
            self.spared += calls
            return value
        before = recogniser.calls
        value = make()
        self._cache[key] = value, recogniser.calls - before
        return value

    def kept(self, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array that depends on no recogniser, kept for the other recognisers of a run where there is a place.

        Parameters
        ----------
        key : str
            A digest of everything that the array depends on, clip and seed included.
        make : callable
            Called where nothing is kept; it makes no model call.
        """
        return make() if self._keep is None else self._keep(key, make)


@dataclass(frozen=True)
class Request:
    """Request for one explanation.

    Attributes
    ----------
    recogniser : Recogniser
    clip : Clip
        Runs give samples and alignment alone (`Clip.unnamed`): a method that knew the clip's name, label or condition
        could answer by them. References of the truth are exempt.
    target : str
        Class to explain, one of the recogniser's.
    seed : tuple or Seed
        Identity of the cell, from which every random generator is seeded; there is no global random state. Runs give a
        `keys.Seed`, which draws the same and cannot be read.
    base : Attribution, optional
        Attribution by the method's `base`, if it has one and the runner has already computed it.
    contrast : str, optional
        Class that the target is contrasted with (why `target` rather than `contrast`).
    shared : SharedWork
        Cache for all requests with this recogniser and clip, of any target, method and seed; default an empty one.
    """

    recogniser: Recogniser
    clip: Clip
    target: str
    seed: tuple | Seed = ()
    base: Attribution | None = None
    contrast: str | None = None
    shared: SharedWork = field(default_factory=SharedWork, repr=False, compare=False)

    @property
    def target_index(self) -> int:
        """Column index of the target class.

        Raises
        ------
        NotApplicable
            For a contrast of two classes, which has no column; methods that support contrasts use `response`.
        """
        if self.contrast is not None:
            raise NotApplicable(f"this method explains one class, not the contrast {self.label!r}")
        return self.recogniser.class_index(self.target)

    @property
    def label(self) -> str:
        """Name of what is explained: the target, or ``target-contrast``."""
        return self.target if self.contrast is None else f"{self.target}-{self.contrast}"

    def response(self, scores: Scores) -> Scores:
        """Explained scalar, from the log-odds or logits of every class; see `Recogniser.response`."""
        return self.recogniser.response(scores, self.target, self.contrast)

    def generator(self, *extra: Any) -> np.random.Generator:
        """Random generator seeded from the request and `extra`; repeated calls return the same stream."""
        return self.seed.rng(*extra) if isinstance(self.seed, Seed) else rng(*self.seed, *extra)


class Explainer(ABC):
    """Base class of explanation methods. As in scikit-learn, ``__init__`` only stores parameters as attributes.

    Attributes
    ----------
    name : str
        As registered.
    stochastic : bool
        Whether the attribution depends on the seed.
    base : str or None
        Name of the method whose attribution this one is computed from.
    fill_parameter : str or None
        Name of the parameter that names the fill the attribution is relative to. Runs set it to the fill that the
        attribution is scored with, unless the configuration fixes it.
    """

    name: str
    stochastic: bool = False
    base: str | None = None
    fill_parameter: str | None = None

    @property
    def against(self) -> str:
        """Fill (or other value of `fill_parameter`) that the attribution is relative to; empty if there is none."""
        return "" if self.fill_parameter is None else str(getattr(self, self.fill_parameter))

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
        """Count the model calls of one explanation, batch padding included; 0 for methods that never call the model.

        Parameters
        ----------
        n_samples : int
            Length of the clip.
        recogniser : Recogniser

        Raises
        ------
        NotApplicable
            As `attribute`, if clip length and recogniser alone decide it.
        """
        return 0

    def calls_of(self, request: Request) -> int:
        """Count the model calls of one explanation of a request; unlike `calls`, may depend on the clip's content."""
        return self.calls(request.clip.samples.size, request.recogniser)

    def shares(self, request: Request) -> Hashable | None:
        """Key under which the explanation's model calls are cached in `SharedWork`; None if they are not shared."""
        return None

    def get_params(self) -> dict[str, Any]:
        """Return the parameters by name; they are part of the explanation's key."""
        return {name: getattr(self, name) for name in _parameters(type(self))}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"


@cache
def _parameters(kind: type[Explainer]) -> tuple[str, ...]:
    """Names of the parameters of ``__init__``; cached, since every cell's key needs them."""
    return tuple(n for n in inspect.signature(kind.__init__).parameters if n not in ("self", "args", "kwargs"))
