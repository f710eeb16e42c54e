"""Explanations made again for metrics: of changed clips, by changed networks, of other targets.

They are not stored. What does not depend on the method is shared between them as it is between the explanations of a
clip: one mask table of a changed copy serves every method that reads one, and one deterministic map every method that
starts from it. The explanations are those that each method would make alone.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

from ...datasets.clip import Clip
from ...keys import Seed, digest
from ...methods.attribution import Attribution
from ...methods.explainer import Request, SharedWork
from ...models.recogniser import Recogniser
from .backend import Backend
from .clip_conditions import OF_CLIP, Memo
from .method_spec import MethodSpec


class Reexplainer:
    """Explains changed copies of the clips of one shard.

    Parameters
    ----------
    specs : mapping of str to MethodSpec
        Methods of the run.
    recogniser : Recogniser
        Of the shard; pays for the calls of copies of itself as well.
    backend : Backend
    memo : Memo
        Values dropped at the end of each clip.
    """

    def __init__(self, specs: Mapping[str, MethodSpec], recogniser: Recogniser, backend: Backend, memo: Memo) -> None:
        self.recogniser = recogniser
        self.backend = backend
        self._memo = memo
        self._bases = {spec.base.name for spec in specs.values() if spec.base is not None}

    def of(self, spec: MethodSpec, clip: Clip, row_target: str, seed: tuple, shared: SharedWork) -> _Explain:
        """The method as a function.

        Parameters
        ----------
        spec : MethodSpec
        clip : Clip
            The case's clip.
        row_target : str
            Explained where no other target is asked for.
        seed : tuple
            Of the explanation of `clip`.
        shared : SharedWork
            Of the explanations of `clip` by the shard's recogniser.

        Returns
        -------
        callable
            See `metrics.case.Explain`.
        """

        def explain(
            changed: Clip, *more: Hashable, recogniser: Recogniser | None = None, target: str | None = None
        ) -> Attribution:
            used = self.recogniser if recogniser is None else recogniser
            same = used is self.recogniser and changed is clip
            work = shared if same else self._shared_work(changed, used)
            calls, seconds = used.calls, used.seconds
            attribution = self._made(spec, used, changed, target or row_target, (*seed, *more), work)
            if used is not self.recogniser:
                self.recogniser.calls += used.calls - calls
                self.recogniser.seconds += used.seconds - seconds
            return attribution

        return explain

    def _shared_work(self, clip: Clip, recogniser: Recogniser) -> SharedWork:
        key = (OF_CLIP, "shared work again", clip.identity, recogniser.fingerprint)
        return self._memo.once(key, SharedWork)

    def _made(
        self, spec: MethodSpec, recogniser: Recogniser, clip: Clip, target: str, seed: tuple, shared: SharedWork
    ) -> Attribution:
        """An explanation that is neither looked up nor stored, its base included."""

        def make() -> Attribution:
            base = self._made(spec.base, recogniser, clip, target, seed, shared) if spec.base else None
            request = request_for(spec, recogniser, clip, target, seed, base=base, shared=shared)
            attribution = self.backend.attribute(spec.explainer(), request)
            return replace(attribution, model_calls=attribution.model_calls + base.model_calls) if base else attribution

        if spec.stochastic or spec.name not in self._bases:
            return make()
        identity = digest(spec.identity)
        return self._memo.once((OF_CLIP, "base again", clip.identity, recogniser.fingerprint, identity, target), make)


_Explain = Callable[..., Attribution]  # a `metrics.case.Explain`


def shared_calls(spec: MethodSpec, request: Request) -> dict[str, Hashable]:
    """Fields of `metrics.case.Explained` that say with which explanations one shares its model calls."""
    while spec.base is not None:
        spec = spec.base
    table = spec.explainer().shares(request)
    return {"table": table, "source": None if spec.stochastic else digest(spec.identity), "shared": request.shared}


def request_for(
    spec: MethodSpec, recogniser: Recogniser, clip: Clip, target: str, seed: tuple, **more: Any
) -> Request:  # fmt: skip
    """A request for a class, or for the contrast ``A-B``, that tells a method no more of the clip than it may know."""
    name, contrast = recogniser.target_named(target)
    told = {"truth": lambda: clip, "twin": lambda: clip.unnamed_with_twin, "samples": lambda: clip.unnamed}[spec.sees]()
    return Request(recogniser, told, name, Seed(*seed), contrast=contrast, **more)
