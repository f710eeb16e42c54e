"""Maps that were made elsewhere, as a method: scored like any, but they cannot be made again."""

from __future__ import annotations

from ..errors import InputError, NotApplicable
from .attribution import Attribution
from .explainer import Explainer, Request
from .record import PREFIX

SEEDS = ("yes", "no", "unknown")
AGAINST_NOTHING = ("none", "own")  # values of `against` that are no fill
SCORED = "scored"
NOT_AGAIN = "explains again, and maps that were made elsewhere cannot be made again"


class ExternalMaps(Explainer):
    """Maps that a folder holds, see `benchmark.storage.map_folder`.

    Parameters
    ----------
    label : str
        Name of the method that made them, as the manifest says.
    against : str
        What they are relative to: a fill, ``own``, ``none``; ``scored``: there are maps against several fills.
    seeds : {'yes', 'no', 'unknown'}
        Whether another seed gives another map. Metrics that compare with a repeat need to know.
    """

    def __init__(self, label: str = "", against: str = "none", seeds: str = "unknown") -> None:
        if seeds not in SEEDS:
            raise InputError(f"maps: stochastic must be one of {', '.join(SEEDS)}, got {seeds!r}.")
        self.name = f"{PREFIX}{label}"
        self.label = label
        self.relative_to = against
        self.seeds = seeds
        self.stochastic = seeds == "yes"
        self.fill_parameter = None if against in AGAINST_NOTHING else "against"

    @property
    def against(self) -> str:
        """Fill that the maps are relative to, ``own`` or ``none``."""
        return self.relative_to

    def attribute(self, request: Request) -> Attribution:
        """Refuse: the runner reads these maps from their folder.

        Raises
        ------
        NotApplicable
            Always.
        """
        raise NotApplicable(NOT_AGAIN)
