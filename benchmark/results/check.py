"""Checks of a folder of results, which anybody may have written: each piece by itself, and all of them together.

Nothing of a record is run: files are read by bounded readers after their names, sizes and kinds are checked, links are
not followed, and models are loaded only where this command names them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ...datasets.corpora import CORPORA
from ...errors import InputError
from ...methods.records import METHODS
from ...metrics.records import METRICS
from ..analysis.shown_names import configured_settings, same_recogniser, settings_of
from ..storage.clip_facts import FILE as CLIP_FACTS
from ..storage.clip_facts import read_clip_facts
from ..storage.derived import DERIVED, FORMAT, RECORD, read_derived
from ..storage.portable import local_paths
from ..storage.result_tree import pieces
from ..storage.run_info import FILE
from ..storage.store import Store
from ..validation.check_result import FAIL, NOT_CHECKED, PASS, WARNING, Check, concluded
from ..validation.given import NO_MODELS, GivenModels
from ..validation.validate import validate
from .piece import NOT_ALWAYS, TABLES, config_digest, folder_name

MAX_TREE_BYTES = 25_000_000
MAX_FILES = 2_000
MAX_TEXT = 2_000  # characters of one text of a score row
BESIDE = (".md", ".csv", ".png", ".svg")  # files of results that are no record
BESIDE_FOLDERS = ("qualification", "board")
# what names a row of a derived table
_ROW = ("axis", "other", "training", "space", "target_rule", "condition", "fill", "metric", "method", "clip", "target")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
Report = Callable[[str, int, int], None]


class Checked(NamedTuple):
    """Checks of one folder."""

    folder: Path
    checks: list[Check]


def check_results(
    root: Path,
    rescore: int = 0,
    seed: int = 0,
    data_root: Path | None = None,
    progress: Report | None = None,
    given: GivenModels = NO_MODELS,
) -> list[Checked]:
    """Check results: first the folder as a whole, then each piece.

    Parameters
    ----------
    root : Path
        Folder of results, or of one record.
    rescore : int
        Clips of each piece to score again, where corpus and recogniser are here.
    seed : int
        Which clips.
    data_root : Path, optional
    progress : callable, optional
    given : GivenModels
        See `validation.validate.validate`.

    Raises
    ------
    InputError
        If the folder holds no piece.
    """
    folders = list(pieces(root))
    if not folders:
        raise InputError(f"{root}: no run lies in it. Give a folder made by `serxai run` or `serxai results add`.")
    whole = [_files(root, folders)]
    if whole[0].result == FAIL:  # what is no plain file is not opened
        return [Checked(root, whole)]
    found, infos = [], {}
    for folder in folders:
        try:
            checks = check_piece(folder, rescore, seed, data_root, progress, given)
            infos[folder] = Store(folder).info
        except (InputError, ValueError) as error:
            checks = [Check("readable", FAIL, "cannot be read", (str(error),))]
        found.append(Checked(folder, checks))
    whole += [_places(root, infos), _identities(infos), _versions(infos), board_coverage(infos)]
    return [Checked(root, whole), *found]


def check_piece(
    folder: Path,
    rescore: int = 0,
    seed: int = 0,
    data_root: Path | None = None,
    progress: Report | None = None,
    given: GivenModels = NO_MODELS,
) -> list[Check]:
    """Check one piece: what `validate` checks of a run, derived tables, identity, licence and texts.

    Raises
    ------
    InputError
        If it is not a run.
    """
    store = Store(folder)
    checks = validate(folder, rescore, seed, data_root, progress, given)
    if not store.is_record:
        return [*checks, Check("record", FAIL, "a run, with maps and local paths; add it with `serxai results add`")]
    info = store.info
    try:
        scores = store.scores()
    except InputError as error:
        return [*checks, Check("record", FAIL, "score rows cannot be read", (str(error),))]
    return [*checks, _record(info, scores), _licence(info), _tables(store, scores), _texts(store, scores)]


# -- one piece ---------------------------------------------------------------------------------------------------------


def _record(info: Mapping[str, Any], scores: pd.DataFrame) -> Check:
    """Identity: digest of the configuration, one corpus and recogniser, and versions as the rows have them."""
    config, facts, faults = info["config"], info[RECORD], []
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        faults.append(f"record: format is not {FORMAT}")
        facts = {}
    if facts.get("config") != config_digest(config):
        faults.append("record: the configuration is not the one that was recorded (its digest differs)")
    if len(config["corpora"]) != 1 or len(config["models"]) != 1 or len(info["models"]) != 1:
        faults.append("of more than one corpus or recogniser")
    described = {*config["corpora"], *scores["trained_on"]}
    if not {*config["corpora"]} <= {*info["corpora"]} <= described:
        faults.append(f"corpora {', '.join(info['corpora'])} described, {', '.join(sorted(described))} used")
    for column, known in (("corpus", config["corpora"]), ("model", config["models"])):
        faults += [f"rows of {column} {name!r}" for name in sorted({*scores[column]} - {*known})]
    for title in info["models"]:
        name, _, trained_on = title.rpartition(" trained on ")
        if name not in config["models"] or {*scores["trained_on"]} - {trained_on}:
            faults.append(f"recogniser {title!r} described, {config['models'][0]!r} scored")
    for kind in ("method", "metric"):
        for name, version in scores[[kind, f"{kind}_version"]].drop_duplicates().itertuples(index=False):
            said = info.get(f"{kind}s", {}).get(name, {}).get("version")
            if said != version:
                faults.append(f"{kind} {name!r}: rows of version {version}, run.json says {said}")
            faults += _impossible(kind, name, str(version))
    faults += _other_settings(info)
    folds = {f"{title}, fold {fold}" for title in info["models"] for fold in scores["fold"].unique()}
    faults += [f"no fingerprint of {place}" for place in sorted(folds - info["fingerprints"].keys())]
    faults += [f"a path of one machine: {path[:80]!r}" for path in sorted(set(local_paths(dict(info))))]
    return concluded("identity", "configuration, corpus, recogniser and versions as the rows have them", faults)


def _other_settings(info: Mapping[str, Any]) -> Iterator[str]:
    """Methods described with other parameters than the configuration gives them: boards tell settings by these."""
    given = info["config"].get("parameters") or {}
    for name, facts in info.get("methods", {}).items():
        if name not in METHODS or METHODS.get(name).version != facts.get("version"):
            continue  # what another version's defaults were is not known here
        try:
            configured = configured_settings(name, given)
        except InputError as error:
            yield f"method {name!r}: {error}"
            continue
        if settings_of(facts) != configured:
            yield f"method {name!r}: described with other parameters than its configuration gives"


def _impossible(kind: str, name: str, version: str) -> Iterator[str]:
    """Versions that no release has had; those of names that are not registered here are not known."""
    registry = METHODS if kind == "method" else METRICS
    if name not in registry:
        if kind == "metric":
            yield f"metric {name!r} is not registered here"
        return
    newest = registry.get(name).version
    if not version.isdecimal() or not newest.isdecimal():
        if version != newest:
            yield f"{kind} {name!r}: version {version!r}, registered is {newest!r}"
    elif not 1 <= int(version) <= int(newest):
        yield f"{kind} {name!r}: version {version}, registered are 1 to {newest}"


def _licence(info: Mapping[str, Any]) -> Check:
    """Licence as the corpus' record has it."""
    faults = []
    for name, facts in info["corpora"].items():
        if not facts.get("licence"):
            faults.append(f"{name}: no licence")
        if name in CORPORA and not name.endswith(":"):
            record = CORPORA.get(name)
            for field in ("licence", "derivatives_allowed"):
                if facts.get(field) != getattr(record, field):
                    faults.append(f"{name}: {field} {facts.get(field)!r}, registered {getattr(record, field)!r}")
    return concluded("licence", "no map and no sound; licences as registered", faults)


def _tables(store: Store, scores: pd.DataFrame) -> Check:
    """Schema and coverage of the derived tables."""
    faults, missing, sizes = [], [], []
    clips, methods = {*scores["clip"]}, {*scores["method"]}
    for name, kinds in TABLES.items():
        try:
            table = read_derived(store.path, name, kinds)
        except ValueError as error:
            faults.append(str(error))
            continue
        if table is None:
            missing += [f"{name}: not there"] if name not in NOT_ALWAYS else []
            continue
        sizes.append(f"{name} {len(table)}")
        strange = [f"clip {c}" for c in {*table["clip"]} - clips] + [
            f"method {m}" for m in {*table["method"]} - methods
        ]
        faults += [f"{name}: {what} has no score" for what in sorted(strange)]
        if name == "bands":
            ok = scores[(scores["status"] == "ok") & (scores["condition"] == "clean") & (scores["repeat"] == 0)]
            wanted = set(ok[["method", "clip", "target"]].drop_duplicates().itertuples(index=False, name=None))
            there = set(table[["method", "clip", "target"]].itertuples(index=False, name=None))
            faults += [f"bands: none of clip {c}, {m}, target {t}" for m, c, t in sorted(wanted - there)]
        twice = table.duplicated([n for n in _ROW if n in table])
        faults += [f"{name}: {int(twice.sum())} rows more than once"] if twice.any() else []
    result = FAIL if faults else WARNING if missing else PASS
    return Check("derived tables", result, "rows: " + ", ".join(sizes), (*faults, *missing))


def _texts(store: Store, scores: pd.DataFrame) -> Check:
    """Texts of rows and clips: of moderate length, without control characters; facts of scored clips alone."""
    faults = []
    facts = read_clip_facts(store.path)
    columns = {name: scores[name] for name in scores if pd.api.types.is_string_dtype(scores[name])}
    columns |= {f"{CLIP_FACTS} {name}": facts[name] for name in facts}
    for name, column in columns.items():
        for text in map(str, column.unique()):
            if len(text) > MAX_TEXT or _UNPRINTABLE.search(text):
                faults.append(f"{name}: {text[:40]!r} is too long, or holds control characters")
    strange = {*facts["clip"]} - {*scores["clip"]}
    faults += [f"{CLIP_FACTS}: clip {clip} has no score" for clip in sorted(strange)]
    return concluded("texts", f"{len(columns)} columns of text", faults)


# -- the folder as a whole ---------------------------------------------------------------------------------------------


def _files(root: Path, folders: Sequence[Path]) -> Check:
    """Names, kinds and sizes of all files; nothing is opened."""
    faults, count, size = [], 0, 0
    allowed = re.compile(
        rf"{FILE}|{CLIP_FACTS}|scores/[0-9a-f]{{32}}\.parquet|{DERIVED}/(?:{'|'.join(TABLES)})\.parquet"
    )
    inside = {folder: folder.relative_to(root).parts for folder in folders}
    for here, below, names in os.walk(root, followlinks=False):
        place = Path(here)
        faults += [f"{place / name}: a symbolic link" for name in below if (place / name).is_symlink()]
        for name in names:
            path = place / name
            facts = path.lstat()
            count, size = count + 1, size + facts.st_size
            shown = path.relative_to(root)
            if not stat.S_ISREG(facts.st_mode):
                faults.append(f"{shown}: not a plain file")
                continue
            piece = next((f for f, parts in inside.items() if shown.parts[: len(parts)] == parts), None)
            if piece is not None:
                if not allowed.fullmatch(path.relative_to(piece).as_posix()):
                    faults.append(f"{shown}: no file of a record (maps, sound and reports are not committed)")
            elif path.suffix not in BESIDE or (len(shown.parts) > 1 and shown.parts[0] not in BESIDE_FOLDERS):
                faults.append(f"{shown}: no file of results (allowed: {', '.join(BESIDE)} at the top)")
            if count > MAX_FILES:
                return Check("files", FAIL, f"more than {MAX_FILES} files", tuple(faults))
    if size > MAX_TREE_BYTES:
        faults.append(f"{size / 1e6:.1f} MB, at most {MAX_TREE_BYTES / 1e6:.0f} MB")
    return concluded("files", f"{count} files of {len(folders)} pieces, {size / 1e6:.2f} MB", faults)


def _places(root: Path, infos: Mapping[Path, Mapping[str, Any]]) -> Check:
    """Check that a piece lies in the folder of its corpus, and of its recogniser or one named after it."""
    faults = []
    for folder, info in infos.items():
        if folder == root or RECORD not in info:
            continue
        corpus, model = (folder_name(info["config"][kind][0]) for kind in ("corpora", "models"))
        here = folder.resolve().parts
        if here[-3] != corpus or not here[-2].startswith(model):
            faults.append(f"{folder.relative_to(root)}: is of {corpus} and {model}")
    return concluded("places", "each piece in the folder of its corpus and recogniser", faults)


def _identities(infos: Mapping[Path, Mapping[str, Any]]) -> Check:
    """Check that one name is one corpus, and one folder one recogniser."""
    faults = []
    digests: dict[tuple[str, str], str] = {}
    first: dict[Path, Mapping[str, Any]] = {}
    for folder, info in infos.items():
        for name, facts in info["corpora"].items():
            generated = name in CORPORA and not name.endswith(":") and CORPORA.get(name).twinned
            known = digests.setdefault((name, facts.get("version", "")), facts["digest"])
            if known != facts["digest"] and not generated:  # what is synthesised differs between processors
                faults.append(f"{folder}: corpus {name!r} has digest {facts['digest']}, in other records {known}")
        other = first.setdefault(folder.parent, info)
        if not same_recogniser(info, other):
            faults.append(f"{folder}: weights are not those of the other pieces in its folder")
    return concluded("identities", f"{len(digests)} corpora, {len(first)} recognisers on them", faults)


def _versions(infos: Mapping[Path, Mapping[str, Any]]) -> Check:
    """Check that pieces of one folder hold one version of each method and metric."""
    faults = []
    seen: dict[tuple[Path, str, str], Any] = {}
    for folder, info in infos.items():
        for kind in ("methods", "metrics"):
            for name, facts in info.get(kind, {}).items():
                known = seen.setdefault((folder.parent, kind, name), facts.get("version"))
                if known != facts.get("version"):
                    faults.append(f"{folder.parent}: {kind.removesuffix('s')} {name!r} in versions {known} and "
                                  f"{facts.get('version')}; add the newer run with `serxai results add`")  # fmt: skip
    return concluded("versions", "one version of each method and metric in each folder", faults)


def board_coverage(infos: Mapping[Path, Mapping[str, Any]]) -> Check:
    """Say which methods and metrics that others have are missing of a corpus and recogniser; no fault."""
    kinds = ("methods", "metrics", "conditions")
    have: dict[Path, dict[str, set[str]]] = {}
    for folder, info in infos.items():
        mine = have.setdefault(folder.parent, {kind: set() for kind in kinds})
        for kind in kinds:
            mine[kind] |= {*info["config"].get(kind, [])}
    everything = {kind: set().union(*(mine[kind] for mine in have.values())) for kind in kinds}
    missing = [
        f"{folder}: no {', '.join(sorted(everything[kind] - mine[kind]))} ({kind})"
        for folder, mine in have.items()
        for kind in kinds
        if everything[kind] - mine[kind]
    ]
    told = ", ".join(f"{len(everything[kind])} {kind}" for kind in kinds)
    return Check("coverage of the board", PASS if not missing else NOT_CHECKED, told, tuple(missing))
