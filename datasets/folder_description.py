"""Schema of ``corpus.toml``, which describes a user's own corpus; its keys are explained in `datasets.folder`.

The file is data that somebody else may have written: every key has a type and bounds, and damage is told by file and
key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..errors import InputError
from .corpus import TAXONOMY, CorpusRecord
from .folder_files import some
from .folder_record import RECORD

DESCRIPTION = "corpus.toml"
MAX_BYTES, MAX_TEXT, MAX_LABELS = 1_000_000, 2000, 1000
Role = Literal["id", "file", "emotion", "speaker", "sex", "sentence"]
# column names recognised without a mapping, case-insensitive
ROLES: dict[Role, tuple[str, ...]] = {
    "id": ("id",),
    "file": ("file", "filename", "file_name", "filepath", "path", "wav", "audio"),
    "emotion": ("emotion", "label", "emotion_label"),
    "speaker": ("speaker", "speaker_id", "speakerid", "actor"),
    "sex": ("sex", "gender"),
    "sentence": ("sentence", "text", "transcription", "transcript"),
}
OWN_CLASS = re.compile(r"[^\W\d_][^\WA-Z]*")  # no hyphen: A-B is a contrast of two classes
# in messages, tables and pages: no control characters
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]


class Description(BaseModel):
    """Content of ``corpus.toml``; see `datasets.folder` for the keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Text = ""
    table: Text = ""
    version: Text = ""
    licence: Text = ""
    citation: Text = ""
    language: Text = ""
    url: Text = ""
    level_comparable: bool = False
    derivatives_allowed: bool = False
    speakers: Literal["column", "one-per-file"] = "column"
    missing_speakers: Literal["refuse", "leave-out"] = "refuse"
    columns: dict[Role, Text] = {}
    labels: Annotated[dict[Text, Text], Field(max_length=MAX_LABELS)] = {}


def describe(path: Path, where: str) -> Description:
    """Read ``corpus.toml``; where there is none, every key has its default.

    Parameters
    ----------
    path : Path
    where : str
        The corpus, for messages.

    Raises
    ------
    InputError
        If it cannot be read, or a key or value is not allowed.
    """
    if not path.is_file():
        return Description()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{where}: {path} has more than {MAX_BYTES} bytes; a corpus is described in a few lines.")
        description = Description.model_validate(tomllib.loads(path.read_text("utf-8")))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{where}: {path} cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            key = str(fault["loc"][0] if len(fault["loc"]) == 1 else fault["loc"][1])
            near = nearest([key], [*Description.model_fields, *ROLES]) if key not in Description.model_fields else []
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            faults.append(f"{'.'.join(str(part) for part in fault['loc'] if part != '[key]')}: {fault['msg']}{hint}")
        raise InputError(
            f"{where}: {path}: {'; '.join(faults)}. Allowed keys: {', '.join(Description.model_fields)}; "
            f"columns: {', '.join(ROLES)}."
        ) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits or 1,000 brackets is no TOMLDecodeError
        raise InputError(f"{where}: {path} is not TOML in UTF-8: {error}.") from None
    own = {emotion for label, emotion in description.labels.items() if label == emotion}
    strange = sorted(set(description.labels.values()) - {*TAXONOMY, "", *own})
    if strange:
        raise InputError(
            f'{where}: {path}: labels map to {some(strange)}, allowed are {", ".join(TAXONOMY)}, "" to leave clips '
            f"out, and a class of its own name, declared by mapping it to itself: {strange[0]!r} = {strange[0]!r}."
        )
    unfit = sorted(name for name in own if not OWN_CLASS.fullmatch(name))
    if unfit:
        raise InputError(
            f"{where}: {path}: {some(unfit)} cannot name classes of their own: use small letters, digits and "
            "underscores, beginning with a letter."
        )
    return description


def record_of_enclosing_folder(path: Path) -> CorpusRecord | None:
    """Record of the nearest folder above a file that has a ``corpus.toml``; None if there is none.

    Only ``corpus.toml`` is read, not the table. An invalid ``corpus.toml`` counts as forbidding derived audio.

    Parameters
    ----------
    path : Path
        Absolute path of the file.
    """
    root = next((folder for folder in path.parents if (folder / DESCRIPTION).is_file()), None)
    if root is None:
        return None
    try:
        description = describe(root / DESCRIPTION, str(root))
    except InputError:
        description = Description()
    return replace(
        RECORD,
        name=f"{RECORD.name}{root}",
        licence=description.licence or "unknown",
        derivatives_allowed=description.derivatives_allowed,
    )


def nearest(words: Iterable[str], known: Iterable[str]) -> list[str]:
    """Closest known name of each word, case-insensitive; words without a close match are dropped."""
    known = {name.casefold(): name for name in known}
    return [known[hit] for word in words for hit in get_close_matches(word.casefold(), known, n=1, cutoff=0.6)]
