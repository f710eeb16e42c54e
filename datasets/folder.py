"""User data as a corpus, ``folder:PATH``.

PATH is resolved relative to the working directory, then to the data root (``folder:NAME`` is then the same on every
machine: a corpus' name is part of every key and of every result row). It is one of

- a CSV (comma, semicolon or tab; UTF-8), one row per clip, file names relative to it; files elsewhere must all lie
  below the data root,
- a folder with one CSV, or with a ``corpus.toml`` that names it,
- an audformat database (a folder with ``db.yaml``; extra ``audb``),
- a folder of sound files with none of these: clips without labels (`unlabelled`), explained for the predicted class by
  a model of real speech; what needs a label is skipped. So is a CSV without a column for the emotion.

Columns are found by name: ``file``, ``emotion`` and ``speaker`` are required (without speakers, folds would leak; of
clips without labels, on which nothing is trained, they are optional), ``sex`` and ``sentence`` are optional, ``id`` is
the clip id (default: the file name; where these are not unique, the path). A row has one cell for each column, on one
line; a tab-separated table has no quotation marks. Names are compared in Unicode's composed form. A speaker that is
empty, ``nan``, ``NA``, ``unknown`` or ``?`` is missing (`speakers`). A label that is no emotion of the taxonomy may be
a class of its own name: map it to itself in ``[labels]``. Without a ``corpus.toml`` the licence is unknown and no audio
derived from the data may enter a report. Example::

    name = "Call centre 2024"
    table = "meta/labels.csv"        # of an audformat database: the table with the emotions
    version = "1.0"                  # default: a digest of the table
    licence = "CC-BY-4.0"
    citation = "Doe 2024"
    language = "en"
    level_comparable = true          # levels of two clips may be compared
    derivatives_allowed = true       # audio made from it may enter a report
    speakers = "one-per-file"        # only if each clip has a different speaker: folds are not speaker-disjoint else
    missing_speakers = "leave-out"   # leave out clips without a speaker; default: refuse the table

    [columns]
    emotion = "rating"

    [labels]
    wut = "anger"
    laughter = ""                    # leave these clips out
    boasting = "boasting"            # a class of its own name
"""

from __future__ import annotations

import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, TableWarning
from ..keys import digest
from .corpus import APPLE_DOUBLE, COLUMNS, TAXONOMY, Corpus, CorpusRecord, data_root_or_default
from .database import load_database
from .folder_description import DESCRIPTION, ROLES, Description, Role, describe, nearest
from .folder_files import find_files, some
from .labels import SYNONYMS, folded, misspelt
from .speakers import clean_name, near_equal
from .table import read_table
from .unlabelled import SPEAKER, sound_rows

if TYPE_CHECKING:
    import pandas as pd

DATABASE = "db.yaml"
TABLES = (".csv", ".tsv")
SEXES = {"f": "female", "woman": "female", "m": "male", "man": "male"}


def load(
    record: CorpusRecord,
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Load the user's data; the corpus' record is completed from the table and from ``corpus.toml``.

    Parameters
    ----------
    record : CorpusRecord
        Named ``folder:PATH``.
    data_root : path, optional
        Where a relative PATH is looked for, after the working directory.
    progress : callable, optional
        Unused; part of the signature of every corpus loader.

    Returns
    -------
    Corpus

    Raises
    ------
    InputError
        For errors in the path, ``corpus.toml``, the table, its columns, labels or files.
    """
    path = _find(record, data_root)
    root = path if path.is_dir() else path.parent
    where = f"corpus {record.name!r}"
    description = describe(root / DESCRIPTION, where)
    if path.is_dir() and _has_no_table(root):
        found = sound_rows(root)
        if found is not None:
            return _unlabelled(record, found, description, data_root, where)
    if path.is_dir() and (root / DATABASE).is_file() and Path(description.table).suffix.lower() not in TABLES:
        rows, header = _read_database(root, description, where)
        bases = [root]
    else:
        table = path if path.is_file() else _choose_table(root, description, where)
        where = f"{where}: {table}"
        rows, header = _by_role(_read_csv(table, where), description, where), {}
        bases = list(dict.fromkeys([table.parent, root]))
    remarks: list[str] = []
    if "emotion" not in rows:
        rows, labelled = rows.assign(emotion=""), False
        remarks.append(
            f"no column for the emotion ({', '.join(ROLES['emotion'])}), so {len(rows)} clips without labels"
        )
    else:
        labelled = True
    if description.missing_speakers == "leave-out" and description.speakers == "column":
        rows = _without_missing_speakers(rows, remarks, where)
    labels = {folded(label): emotion for label, emotion in (SYNONYMS | description.labels).items()}
    if labelled:
        rows = _with_emotions(rows, labels, where)
    files = find_files(list(rows["file"]), list(rows.index), bases, root, data_root, where)
    rows["file"] = files.relative
    if description.speakers == "one-per-file":
        rows["speaker"] = rows["file"]
    else:
        alike = [" and ".join(map(repr, group)) for group in near_equal(set(rows["speaker"]))]
        if alike:
            remarks.append(f"speakers that differ in spelling alone: {some(alike)}; are they different people?")
    rows.index = _ids(rows, where)
    rows = rows.drop(columns="id", errors="ignore")
    remarks += files.remarks
    for remark in remarks:
        warnings.warn(f"{where}: {remark}", TableWarning, stacklevel=2)
    completed = _completed(record, rows.sort_index(), description, header, root)
    return Corpus(completed, rows, files.home, remarks=tuple(remarks))


def _has_no_table(root: Path) -> bool:
    """Whether a folder holds nothing that describes clips."""
    return not ((root / DATABASE).exists() or (root / DESCRIPTION).exists() or any(map(_is_table, root.iterdir())))


def _unlabelled(
    record: CorpusRecord, rows: pd.DataFrame, description: Description, data_root: str | Path | None, where: str
) -> Corpus:
    """Corpus of sound files without a table."""
    root = _find(record, data_root)
    files = find_files(list(rows["file"]), list(rows.index), [root], root, data_root, where)
    rows["file"] = files.relative
    rows.index = _ids(rows, where)
    remark = f"{len(rows)} sound files without a table: no labels, and speakers that are not known"
    warnings.warn(f"{where}: {remark}", TableWarning, stacklevel=3)
    return Corpus(_completed(record, rows.sort_index(), description, {}, root), rows, files.home, remarks=(remark,))


def _find(record: CorpusRecord, data_root: str | Path | None) -> Path:
    if not record.argument:
        raise InputError("corpus 'folder:': the path is missing; write folder:PATH, such as folder:my/data/labels.csv.")
    given = Path(record.argument).expanduser()
    places = [Path.cwd() / given, data_root_or_default(data_root) / given]
    for path in dict.fromkeys(places):
        if path.name == DESCRIPTION and path.is_file():
            return path.parent
        if path.is_dir() or (path.suffix.lower() in TABLES and path.is_file()):
            return path
        if path.is_file():
            raise InputError(
                f"corpus {record.name!r}: {path} is not a table of clips; give a CSV ({' or '.join(TABLES)}), or a "
                f"folder with a CSV, a {DESCRIPTION} or an audformat database."
            )
    near = {n for p in places if p.parent.is_dir() for n in nearest([p.name], (e.name for e in p.parent.iterdir()))}
    hint = f"Did you mean {' or '.join(sorted(near))}? " if near else ""
    raise InputError(
        f"corpus {record.name!r}: neither {' nor '.join(map(str, dict.fromkeys(places)))} exists. {hint}"
        "Give a CSV or a folder, relative to here or to --data-root."
    )


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in TABLES and not path.name.startswith(APPLE_DOUBLE) and path.is_file()


def _choose_table(root: Path, description: Description, where: str) -> Path:
    tables = sorted(entry for entry in root.iterdir() if _is_table(entry))
    names = [entry.name for entry in tables]
    if description.table:
        chosen = root / description.table
        if not chosen.is_file():
            near = nearest([chosen.name], names)
            hint = f" Did you mean {near[0]!r}?" if near else f" CSVs there: {', '.join(names) or 'none'}."
            raise InputError(
                f"{where}: {root / DESCRIPTION} names the table {description.table!r}, which is not there.{hint}"
            )
        return chosen
    if len(tables) != 1:
        advice = f"name the table as folder:PATH/TABLE.csv or as `table` in {DESCRIPTION}"
        if not tables and not description.table and not (root / DESCRIPTION).exists():
            raise InputError(
                f"{where}: {root} holds no sound files, no CSV, no {DESCRIPTION} and no {DATABASE}; put sound "
                f"files into it, or {advice}."
            )
        contents = f"{len(tables)} CSVs ({some(names)})" if tables else "no CSV"
        raise InputError(f"{where}: {root} holds {contents}; {advice}.")
    return tables[0]


def _read_csv(path: Path, where: str) -> pd.DataFrame:
    """Read a table with all cells as stripped text; the index is the line in the file. Unnamed columns are dropped."""
    import pandas as pd

    table = read_table(path, where)
    if not table.rows:
        raise InputError(f"{where}: holds a header and no rows; it needs one row a clip.")
    frame = pd.DataFrame(table.rows, index=table.lines, columns=list(table.header), dtype=str)
    return frame.loc[:, [bool(name) for name in table.header]]


def _roles(names: Iterable[str], description: Description, where: str, database: bool = False) -> dict[Role, str]:
    """Map each role (file, emotion, speaker, ...) to its column; a table may have no emotions, a database must."""
    names = list(names)
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    columns: dict[Role, str] = {}
    for role, known in ROLES.items():
        asked = description.columns.get(role)
        if asked is not None:
            if asked not in names:
                near = nearest([asked], names)
                hint = f"Did you mean {near[0]!r}? " if near else ""
                raise InputError(
                    f"{where}: {DESCRIPTION} takes {role} from a column {asked!r}, which is not there. {hint}"
                    f"Columns: {', '.join(names)}."
                )
            columns[role] = asked
            continue
        matches = folded.get(role) or [name for word in known for name in folded.get(word, [])]
        if len(matches) > 1:
            raise InputError(
                f"{where}: {some(matches)} may each be the {role}; say which in {DESCRIPTION}: "
                f"[columns] {role} = {matches[0]!r}."
            )
        if matches:
            columns[role] = matches[0]
    unlabelled = "emotion" not in columns and not database and not description.labels
    needed: tuple[Role, ...] = (
        ("file", "emotion", "speaker") if description.speakers == "column" else ("file", "emotion")
    )
    for role in needed:
        if role in columns:
            continue
        near = nearest(ROLES[role], set(names) - set(columns.values()))
        if unlabelled and role != "file" and not near:
            continue
        hint = f"Perhaps {near[0]!r}? " if near else ""
        why = (
            " Without speakers, folds would leak them from training into testing; if each file truly has a speaker of "
            f'its own, write speakers = "one-per-file" in {DESCRIPTION}.'
            if role == "speaker"
            else ""
        )
        raise InputError(
            f"{where}: no column for the {role} (known names: {', '.join(ROLES[role])}). {hint}Columns: "
            f'{", ".join(names)}. Rename one, or say which in {DESCRIPTION}: [columns] {role} = "NAME".{why}'
        )
    return columns


def _by_role(table: pd.DataFrame, description: Description, where: str) -> pd.DataFrame:
    """Rename columns to their roles and check that required cells are not empty; other columns are kept."""
    roles = _roles(table.columns, description, where)
    others = [name for name in table.columns if name not in roles.values() and name not in ROLES]
    rows = table[others].assign(**{role: table[name] for role, name in roles.items()})
    if "speaker" in roles:
        rows["speaker"] = rows["speaker"].map(clean_name)
    elif description.speakers == "column":
        rows["speaker"] = SPEAKER
    optional = {"speaker"} if description.missing_speakers == "leave-out" or description.speakers != "column" else set()
    for role in ("file", "emotion", "speaker"):
        if role in roles and role not in optional and (rows[role] == "").any():
            lines = list(rows.index[rows[role] == ""])
            written = sorted(set(table.loc[lines, roles[role]]) - {""})
            advice = (
                f'; a missing speaker is no speaker. Fill or remove them, or write missing_speakers = "leave-out" in '
                f"{DESCRIPTION}"
                if role == "speaker"
                else "; fill or remove them"
            )
            raise InputError(
                f"{where}: {len(lines)} of {len(rows)} rows have no {role} "
                f"({', '.join(map(repr, written)) + ' in ' if written else ''}lines {some(lines)}){advice}."
            )
    for role in ("sex", "sentence"):
        if role not in rows:
            rows[role] = ""
    rows["sex"] = rows["sex"].map(lambda word: SEXES.get(clean_name(word).casefold(), clean_name(word).casefold()))
    return rows


def _read_database(root: Path, description: Description, where: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows of an audformat database by role, and its name, licence, language and URL."""
    try:
        import audformat
    except ImportError:
        raise InputError(
            f"{where}: {root} is an audformat database; reading it needs the extra: pip install 'serxai[audb]'."
        ) from None
    try:
        database = load_database(root)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except Exception as error:  # its YAML, CSV and Parquet parsers raise errors of many types
        raise InputError(f"{where}: {root} cannot be read as an audformat database: {error}.") from error
    if description.table and description.table not in database.tables:
        near = nearest([description.table], database.tables)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise InputError(f"{where}: no table {description.table!r}. {hint}Tables: {', '.join(database.tables)}.")
    names = dict.fromkeys(database.schemes)
    for part in (*database.tables.values(), *database.misc_tables.values()):
        names |= dict.fromkeys(part.columns)
    for scheme in database.schemes.values():  # labels may have attributes, such as a speaker's gender
        if isinstance(scheme.labels, dict):
            names |= dict.fromkeys(key for value in scheme.labels.values() if isinstance(value, dict) for key in value)
    roles = _roles(["file", *(name for name in names if name != "file")], description, where, database=True)
    wanted = {role: name for role, name in roles.items() if role != "file"}
    emotion = wanted["emotion"]
    tables = [description.table] if description.table else None
    try:
        labels = database.get(emotion, [n for n in wanted.values() if n != emotion], tables=tables)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{where}: the tables contradict each other on {', '.join(wanted.values())}: {str(error).splitlines()[0]} "
            f'Say which table holds the emotions in {DESCRIPTION}: table = "NAME" of {", ".join(database.tables)}.'
        ) from None
    if audformat.is_segmented_index(labels.index):
        raise InputError(
            f"{where}: the emotions label parts of files; serxai takes one file a clip. Cut the files, or name a "
            f'filewise table in {DESCRIPTION}: table = "NAME" of {", ".join(database.tables)}.'
        )
    labels = labels[labels[emotion].notna()]
    if labels.empty:
        raise InputError(f"{where}: no file has a label of {emotion!r}; tables: {', '.join(database.tables)}.")
    texts = labels.astype(object).where(labels.notna(), "").astype(str).reset_index()
    texts.index = texts.index + 1
    header = {
        "name": database.name,
        "licence": str(database.license or ""),
        "language": database.languages[0] if database.languages else "",
        "url": str(database.source or ""),
    }
    return _by_role(texts, description, where), header


def _with_emotions(rows: pd.DataFrame, labels: Mapping[str, str], where: str) -> pd.DataFrame:
    spelt = rows["emotion"].map(folded)
    unknown = Counter(rows["emotion"][~spelt.isin(labels)])
    if unknown:
        near = {word: misspelt(word, labels) for word in unknown}
        listed = [
            f"{word!r} ({count} clips{f', did you mean {near[word]!r}?' if near[word] else ''})"
            for word, count in unknown.most_common(8)
        ]
        raise InputError(
            f"{where}: {len(unknown)} unknown labels: {', '.join(listed)}{', ...' * (len(unknown) > 8)}. Known: "
            f"{', '.join(labels)}. Map the others in {DESCRIPTION}: [labels] {next(iter(unknown))!r} = one of "
            f'{", ".join(TAXONOMY)}; the label itself, to keep it as a class of its own name; or "" to leave its '
            "clips out."
        )
    rows = rows.assign(emotion=spelt.map(dict(labels)))
    kept = rows[rows["emotion"] != ""].copy()
    if kept.empty:
        raise InputError(f"{where}: [labels] leaves out all {len(rows)} clips.")
    return kept


def _without_missing_speakers(rows: pd.DataFrame, remarks: list[str], where: str) -> pd.DataFrame:
    missing = rows["speaker"] == ""
    if missing.all():
        raise InputError(f"{where}: none of the {len(rows)} rows has a speaker; name the speakers.")
    if missing.any():
        remarks.append(f"{missing.sum()} of {len(rows)} rows have no speaker and are left out")
    return rows[~missing].copy()


def _ids(rows: pd.DataFrame, where: str) -> list[str]:
    """Clip ids: the user's, else file names without extension, else (where these are not unique) paths."""
    if "id" in rows:
        rows["id"] = [unicodedata.normalize("NFC", name) for name in rows["id"]]
        counts = Counter(rows["id"])
        repeated = [name for name, count in counts.items() if count > 1 or not name]
        if repeated:
            lines = list(rows.index[rows["id"] == repeated[0]])
            raise InputError(
                f"{where}: {len(repeated)} ids are empty or given twice: {some(repeated)} (lines {some(lines)}); "
                "an id names one clip."
            )
        return list(rows["id"])
    files = [unicodedata.normalize("NFC", file) for file in rows["file"]]
    for ids in ([Path(file).stem for file in files], [str(Path(file).with_suffix("")) for file in files]):
        if len(set(ids)) == len(ids):
            return ids
    return files if len(set(files)) == len(files) else list(rows["file"])


def _completed(
    record: CorpusRecord, table: pd.DataFrame, description: Description, header: Mapping[str, str], root: Path
) -> CorpusRecord:
    title = description.name or header.get("name") or root.name
    speakers = table["speaker"].nunique()
    own = " (one per file, as said)" if description.speakers == "one-per-file" else ""
    rows = table[list(COLUMNS[1:])].astype(str).reset_index().to_numpy().tolist()
    present = set(table["emotion"]) - {""}
    labels = f"{speakers} speakers{own}, {len(present)} emotions" if present else "no labels"
    return replace(
        record,
        summary=f"{title}: {len(table)} clips, {labels}",
        version=description.version or f"table-{digest('folder', rows, size=5)}",
        licence=description.licence or header.get("licence") or "unknown",
        citation=description.citation or "unknown",
        language=description.language or header.get("language") or "und",
        emotions=(*(emotion for emotion in TAXONOMY if emotion in present), *sorted(present - set(TAXONOMY))),
        speakers=speakers,
        clips=len(table),
        label_counts=dict(Counter(emotion for emotion in table["emotion"] if emotion)),
        level_comparable=description.level_comparable,
        derivatives_allowed=description.derivatives_allowed,
        label_map={label: emotion for label, emotion in (SYNONYMS | description.labels).items() if emotion in present},
        url=description.url or header.get("url") or root.resolve().as_uri(),
    )
