"""Explanation methods of a run, resolved once: version, parameters, randomness and base method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...methods.explainer import Explainer
from ...methods.records import METHODS, make_method
from .config import RunConfig


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
    base : MethodSpec or None
        Method whose attribution this one starts from.
    given : dict of str to object
        Parameters set by the configuration; the others keep their defaults.
    """

    name: str
    version: str
    parameters: Mapping[str, Any]
    stochastic: bool
    base: MethodSpec | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> list[Any]:
        """What an explanation depends on besides clip and recogniser: version and parameters, the base method's too."""
        return [self.name, self.version, self.parameters, *([self.base.identity] if self.base else [])]

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
    given = config.parameters.get(name, {})
    explainer = make_method(name, **given)
    base = resolve_method(explainer.base, config) if explainer.base else None
    version = METHODS.get(name).version
    return MethodSpec(name, version, explainer.get_params(), explainer.stochastic, base, given)


def resolve_methods(config: RunConfig) -> dict[str, MethodSpec]:
    """Specifications of all methods of a run and of their bases, by name, those of the run first."""
    specs = {name: resolve_method(name, config) for name in config.methods}
    for spec in list(specs.values()):
        while spec.base is not None:
            spec = specs.setdefault(spec.base.name, spec.base)
    return specs
