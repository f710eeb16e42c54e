"""What an explainer is. A method is a small subclass of `Explainer` that fills in `attribute`."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..datasets.clip import Clip
from ..keys import rng
from ..models.recogniser import Recogniser
from .attribution import Attribution


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
    """

    recogniser: Recogniser
    clip: Clip
    target: str
    seed: tuple = ()
    base: Attribution | None = None

    @property
    def target_index(self) -> int:
        """Column of the target class."""
        return self.recogniser.class_index(self.target)

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

    def get_params(self) -> dict[str, Any]:
        """Parameters by name; part of the explanation's key."""
        names = [n for n in inspect.signature(type(self).__init__).parameters if n not in ("self", "args", "kwargs")]
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"
