"""Explanation methods of a run, resolved once: version, parameters, randomness, base method and reference.

A method that explains relative to a fill (`Explainer.fill_parameter`) is made once for each fill: its explanations are
made against the fill that they are scored with, unless the configuration fixes the parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...audio.fill_records import FILL_NAMES
from ...methods.record import PREFIX
from ...methods.records import METHODS, make_method
from .config import SCORED, RunConfig

if TYPE_CHECKING:  # torch with it, and refusals of wrong input name methods
    from ...methods.explainer import Explainer


@dataclass(frozen=True)
class MethodSpec:
    """A method with the parameters that a run gives it; picklable.

    Attributes
    ----------
    name : str
    version : str
    parameters : dict of str to object
        Every parameter, defaults included.
    stochastic : bool
        Whether another seed gives another explanation.
    against : str
        What its explanations are relative to: a fill, or another value of the method's fill parameter; ``own`` for a
        baseline of the method's own, ``none`` if there is none; ``scored`` for the fill of the score.
    base : MethodSpec or None
        Method whose attribution this one starts from.
    given : dict of str to object
        Parameters set by the configuration; the others keep their defaults.
    by_fill : dict of str to MethodSpec
        The method against each fill; empty where the fill of the score does not matter.
    """

    name: str
    version: str
    parameters: Mapping[str, Any]
    stochastic: bool
    against: str = "none"
    base: MethodSpec | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    by_fill: Mapping[str, MethodSpec] = field(default_factory=dict)

    @property
    def sees(self) -> str:
        """What it is told of a clip: its ``samples``, its ``twin`` as well, or the whole ``truth`` (references)."""
        if self.base is not None:
            return self.base.sees
        if METHODS.get(self.name).needs == "truth":
            return "truth"
        return "twin" if self.against == "twin" else "samples"

    @property
    def external(self) -> bool:
        """Whether its maps were made elsewhere and are read from a folder."""
        return self.name.startswith(PREFIX)

    @property
    def identity(self) -> list[Any]:
        """What an explanation depends on besides clip and recogniser: version and parameters, the base method's too."""
        return [self.name, self.version, self.parameters, *([self.base.identity] if self.base else [])]

    def scored_with(self, fill: str) -> MethodSpec:
        """The method as it explains for scores with a fill; itself, where the fill of the score does not matter."""
        return self.by_fill.get(fill, self)

    def explainer(self) -> Explainer:
        """A new explainer with these parameters."""
        return make_method(self.name, **self.given)


def resolve_method(name: str, config: RunConfig) -> MethodSpec:
    """Specification of one method under a configuration.

    Raises
    ------
    InputError
        For an unknown name or parameter.
    """
    return method_with(name, config.parameters)


def method_with(name: str, parameters: Mapping[str, Mapping[str, Any]]) -> MethodSpec:
    """Specification of one method with parameters by method: its own, and those of the method that it starts from.

    Raises
    ------
    InputError
        For an unknown name or parameter.
    """
    given = dict(parameters.get(name, {}))
    explainer = make_method(name, **given)
    parameter = explainer.fill_parameter
    if parameter is not None and given.get(parameter, SCORED) == SCORED:
        by_fill = {fill: _spec(name, given | {parameter: fill}, None) for fill in FILL_NAMES}
        return replace(_spec(name, given | {parameter: SCORED}, None), by_fill=by_fill)
    if explainer.base is None:
        return _spec(name, given, None)
    base = method_with(explainer.base, parameters)
    by_fill = {fill: _spec(name, given, spec) for fill, spec in base.by_fill.items()}
    return replace(_spec(name, given, base), by_fill=by_fill)


def _spec(name: str, given: Mapping[str, Any], base: MethodSpec | None) -> MethodSpec:
    """Specification with these parameters, whatever the fill of the score."""
    explainer, record = make_method(name, **given), METHODS.get(name)
    own = "own" if record.reference == "own" else "none"
    against = base.against if base is not None else explainer.against or own
    stochastic = explainer.stochastic if base is None else explainer.stochastic or base.stochastic
    return MethodSpec(name, record.version, explainer.get_params(), stochastic, against, base, given)


def resolve_methods(config: RunConfig) -> dict[str, MethodSpec]:
    """Specifications of all methods of a run and of their bases, by name, those of the run first."""
    specs = {name: resolve_method(name, config) for name in config.methods}
    for spec in list(specs.values()):
        while spec.base is not None:
            spec = specs.setdefault(spec.base.name, spec.base)
    return specs


def described_method(spec: MethodSpec) -> dict[str, Any]:
    """Version and parameters of a method, and of the method that it starts from."""
    described: dict[str, Any] = {"version": spec.version, "parameters": spec.parameters}
    return described | ({"base": {spec.base.name: described_method(spec.base)}} if spec.base else {})
