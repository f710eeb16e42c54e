"""What is drawn of one or several runs: methods, clips, corpus and recogniser. Imports nothing heavy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from ....errors import InputError
from ....methods.records import METHODS, baselines


class Choice(NamedTuple):
    """What the user wants of the runs; empty where a figure may choose.

    Attributes
    ----------
    methods, clips : tuple of str
    corpus, model : str
        Names as shown; a model by its name alone, or with its training corpus in brackets.
    """

    methods: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    corpus: str = ""
    model: str = ""


ANYTHING = Choice()


def one_of(flag: str, wanted: str, known: Iterable[str]) -> str:
    """The wanted name, or the first known one where none is wanted.

    Parameters
    ----------
    flag : str
        That names it, for the error.
    wanted : str
    known : iterable of str
        At least one.

    Raises
    ------
    InputError
        If it is not known.
    """
    from ...analysis.shown_names import title_parts  # numpy with it, and figures are listed without

    names = list(dict.fromkeys(known))
    if not wanted:
        return names[0]
    short = [name for name in names if name == wanted or title_parts(name)[0] == wanted]
    if not short:
        raise InputError(f"{flag} {wanted}: the runs hold {', '.join(names)}; give one of them.")
    return short[0]


def short_name(recogniser: str, corpus: str = "") -> str:
    """Name of a recogniser for a picture: without its folder, and without its training corpus where that is `corpus`.

    Examples
    --------
    >>> short_name("hf:models/whisper-tiny-en (emodb)", "emodb"), short_name("cnn (emodb)", "ravdess")
    ('whisper-tiny-en', 'cnn (emodb)')
    """
    from ...analysis.shown_names import recogniser_title, title_parts

    name, trained_on = title_parts(recogniser)
    name = name.rpartition(":")[2].rstrip("/").rpartition("/")[2] or name
    return recogniser_title(name, trained_on, corpus)


def by_registry(names: Iterable[str]) -> list[str]:
    """Names of methods in registry order, those over another method's map behind it; unknown ones last by name."""
    place = {name: i for i, name in enumerate(METHODS.names())}
    start = {name: name.partition(":")[0] + ":" * (":" in name) for name in set(names)}
    return sorted(start, key=lambda name: (place.get(start[name], len(place)), name))


def explainers(places: Iterable[tuple[Hashable, str]], first: Sequence[str] = ()) -> list[str]:
    """Methods that are no baselines: those of most settings first, then in registry order.

    Parameters
    ----------
    places : iterable of (setting, str)
        Settings, such as corpus and recogniser, and the methods that explained there.
    first : sequence of str
        Methods whose names begin so stand before all others.
    """
    held = Counter(name for _, name in set(places))
    known = [name for name in by_registry(held) if name not in baselines()]
    return sorted(known, key=lambda name: (not name.startswith(tuple(first)), -held[name]))


def refuse_more_methods(figure: str, choice: Choice, most: int) -> None:
    """Refuse more methods than a figure shows, before any run is read.

    Raises
    ------
    InputError
        If more are wanted.
    """
    if len(choice.methods) > most:
        shown = "one method" if most == 1 else f"at most {most}"
        raise InputError(f"--method: figure {figure} shows {shown}, got {len(choice.methods)}.")


def chosen_methods(figure: str, choice: Choice, known: Iterable[str], default: Sequence[str]) -> list[str]:
    """Methods that are wanted, else the default ones.

    Raises
    ------
    InputError
        If one is not known, or there is none.
    """
    names = set(known)
    missing = [name for name in choice.methods if name not in names]
    if missing:
        raise InputError(
            f"--method {missing[0]}: figure {figure} has {', '.join(by_registry(names)) or 'no method'} to draw in "
            "these runs; give one of them."
        )
    chosen = list(dict.fromkeys(choice.methods)) or list(default)
    if not chosen:
        raise InputError(
            f"figure {figure}: the runs hold no explanation by a method other than baselines; run one with --method."
        )
    return chosen
