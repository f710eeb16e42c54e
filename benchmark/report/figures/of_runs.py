"""What a figure of one or several runs is drawn from, and the choices that such figures share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...analysis.same_fill import against_one_fill
from ...analysis.stored_maps import FoundMap, StoredMap, found_maps
from ...storage.store import Store
from .choice import ANYTHING, Choice, chosen_methods, one_of, refuse_more_methods

if TYPE_CHECKING:
    from ....progress import Progress


@dataclass(frozen=True)
class FigureOfRuns:
    """Figure that is to be drawn.

    Attributes
    ----------
    name : str
    stores : sequence of Store
    picture : Path
        Of the PNG; other formats and the numbers stand beside it.
    data_root : Path, optional
        Folder that holds the corpora; default that of each run.
    progress : callable, optional
        Called with (what, done, total).
    choice : Choice
        What of the runs is drawn.
    """

    name: str
    stores: Sequence[Store]
    picture: Path
    data_root: Path | None = None
    progress: Progress | None = None
    choice: Choice = ANYTHING

    def found(self, most: int, every_fill: bool = False, **where: Any) -> list[FoundMap]:
        """Explanations of the runs, none of which is read yet; of each setting those against one fill (`same_fill`).

        Parameters
        ----------
        most : int
            Methods that the figure shows.
        every_fill : bool
            Whether all are wanted, for comparisons that keep fills apart themselves (`axis_tables`).
        **where
            Facts that they must have, see `stored_maps.found_maps`.

        Raises
        ------
        InputError
            If more methods are chosen.
        """
        refuse_more_methods(self.name, self.choice, most)
        found = found_maps(self.stores, **where)
        return found if every_fill else against_one_fill(found)

    def setting(self, found: Sequence[FoundMap]) -> tuple[str, str]:
        """Corpus and recogniser that are chosen, else the first ones; of at least one explanation.

        Raises
        ------
        InputError
            If the chosen ones explained nothing.
        """
        corpus = one_of("--corpus", self.choice.corpus, [one.corpus for one in found])
        of_corpus = [one.recogniser for one in found if one.corpus == corpus]
        return corpus, one_of("--model", self.choice.model, of_corpus)

    def methods(
        self, found: Iterable[FoundMap], default: Callable[[Sequence[FoundMap]], Sequence[str]]
    ) -> tuple[list[FoundMap], list[str]]:
        """Explanations by the methods that are chosen, else by the default ones; and their names.

        Parameters
        ----------
        found : iterable of FoundMap
        default : callable
            Names of methods, given the explanations.

        Raises
        ------
        InputError
            If a chosen method explained nothing, or no method did.
        """
        maps = list(found)
        names = chosen_methods(self.name, self.choice, {one.method for one in maps}, default(maps))
        return [one for one in maps if one.method in names], names

    def read(self, found: Sequence[FoundMap]) -> list[StoredMap]:
        """Read explanations."""
        maps = []
        for done, one in enumerate(found, 1):
            maps.append(one.read())
            if self.progress is not None:
                self.progress("reading explanations", done, len(found))
        return maps


def beside(names: Sequence[str]) -> Callable[[Sequence[FoundMap]], list[str]]:
    """Which of some baselines explained anything, for a default of `FigureOfRuns.methods`."""
    return lambda found: [name for name in names if any(one.method == name for one in found)]
