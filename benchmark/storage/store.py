"""A run on disk: explanations, score rows and timings in shards that are whole or absent.

    NAME/run.json                 config, versions, git state, machine, status, planned shards
    NAME/explanations/KEY.npz     attributions and predictions of one shard's clips
    NAME/scores/KEY.parquet       score rows of one shard
    NAME/timing/KEY.json          seconds and model calls spent, which differ from run to run

Every file is written under a temporary name, synced and renamed. Explanations and score rows carry their own keys, so
shards are packaging only: what another plan needs again is found by key and not computed again.

Score and explanation files are *sealed*: they hold the digest of their own bytes, in parquet's metadata and in
the zip archive's comment. A reader of the format does not notice it; `is_sealed` notices any other byte that changed,
in 0.1 ms a shard, where decoding the pages takes twenty times as long and does not notice a changed value.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...audio import Grid
from ...errors import InputError
from ...methods.attribution import Attribution
from .files import _BLANK, _MARK, is_sealed, seal, write_atomically

SCORE_COLUMNS = [
    "corpus", "fold", "model", "trained_on", "seen_in_training", "method", "condition", "strength", "metric", "family",
    "direction", "space", "fill", "clip", "speaker", "emotion", "predicted", "correct", "target", "target_rule", "seed",
    "repeat", "value", "status", "reason", "model_calls", "metric_version", "method_version", "key",
]  # fmt: skip
TYPES = {"strength": "float64", "value": "float64", "correct": "boolean", "model_calls": "int64", "seed": "int64",
          "repeat": "int64"}  # fmt: skip
# what is found out about a row; the other columns identify it
OUTCOME = ("strength", "value", "status", "reason", "model_calls")
# what reading a damaged archive can raise
_DAMAGE = (OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


def score_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Score rows as a table with all columns, in order, of fixed types."""
    frame = pd.DataFrame(list(rows), columns=SCORE_COLUMNS)
    return frame.astype({column: TYPES.get(column, "str") for column in SCORE_COLUMNS})


class Explanation(NamedTuple):
    """An attribution and what it explains."""

    attribution: Attribution
    corpus: str
    model: str
    clip: str
    condition: str
    repeat: int


class Store:
    """Reads and writes the shards of one run folder.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows: pa.Table | None = None
        self._entries: dict[str, Path] | None = None
        self._archive: tuple[Path, zipfile.ZipFile] | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one writer.

        Raises
        ------
        InputError
            If the folder cannot be written, or another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("w")
        except OSError as error:
            raise InputError(
                f"--out {self.path}: cannot write there ({error.strerror}); give another folder."
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"--out {self.path}: another serxai run is writing there; wait for it or give another folder."
                ) from None
            yield

    # -- shards ------------------------------------------------------------------------------------------------------

    def score_file(self, key: str) -> Path:
        """Where a shard's score rows are."""
        return self.path / "scores" / f"{key}.parquet"

    def explanation_file(self, key: str) -> Path:
        """Where a shard's explanations are."""
        return self.path / "explanations" / f"{key}.npz"

    def has_shard(self, key: str) -> bool:
        """Whether the score rows of a shard are there, byte for byte as they were written; see also `is_whole`."""
        try:
            return is_sealed(self.score_file(key).read_bytes())
        except OSError:
            return False

    def is_whole(self, key: str) -> bool:
        """Whether score rows and explanations of a shard are there, byte for byte as they were written."""
        try:
            return self.has_shard(key) and is_sealed(self.explanation_file(key).read_bytes())
        except OSError:
            return False

    def is_pending(self, key: str, retry_failed: bool = False) -> bool:
        """Whether a shard is to be computed: not written, damaged, or with failed rows that are to be tried again."""
        if not self.is_whole(key):
            return True
        return retry_failed and "failed" in set(_read_table(self.score_file(key), ["status"])["status"].to_pylist())

    def read_shard(self, key: str, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
        """Score rows of a shard, or None if it has not been written.

        Raises
        ------
        ValueError
            If it is damaged or lacks columns.
        """
        path = self.score_file(key)
        return _read_table(path, columns).to_pandas() if path.is_file() else None

    def write_shard(
        self,
        key: str,
        rows: Iterable[dict[str, Any]],
        explanations: dict[str, Explanation],
        predictions: dict[str, np.ndarray],
        timing: dict[str, Any],
    ) -> None:
        """Write one finished shard; the score file, whose presence says that the shard is done, comes last."""
        write_atomically(self.explanation_file(key), _pack(explanations, predictions))
        write_atomically(self.path / "timing" / f"{key}.json", json.dumps(timing, sort_keys=True).encode())
        write_atomically(self.score_file(key), pack_scores(score_frame(rows)))

    # -- reuse by key ------------------------------------------------------------------------------------------------

    def row(self, key: str) -> dict[str, Any] | None:
        """`OUTCOME` of a score row written earlier, whatever its shard; failed rows are not reused."""
        if self._rows is None:
            self._rows = self._reusable_rows()
        keys = self._rows["key"]
        at = bisect_left(range(len(keys)), key, key=lambda i: keys[i].as_py())
        if at == len(keys) or keys[at].as_py() != key:
            return None
        return {name: self._rows[name][at].as_py() for name in OUTCOME}

    def _reusable_rows(self) -> pa.Table:
        """Outcomes of all whole shards, sorted by key; about 60 bytes a row."""
        schema = _schema(("key", *OUTCOME))
        tables = [schema.empty_table()]
        for path in sorted((self.path / "scores").glob("*.parquet")):
            if self.has_shard(path.stem):  # a damaged one is computed again
                table = _read_table(path, schema.names)
                tables.append(table.filter(pc.not_equal(table["status"], "failed")))
        return pa.concat_tables(tables).sort_by("key").combine_chunks()

    def explanation(self, key: str) -> Attribution | None:
        """An attribution written earlier; None if there is none, or it is damaged."""
        path = self._entry(f"{key}/values.npy")
        try:
            return read_explanation(self._opened(path), key).attribution if path else None
        except _DAMAGE:
            return None

    def prediction(self, key: str) -> np.ndarray | None:
        """Log-odds of all classes written earlier; None if there are none, or they are damaged."""
        path = self._entry(f"{key}/log_odds.npy")
        try:
            return _load(self._opened(path), f"{key}/log_odds") if path else None
        except _DAMAGE:
            return None

    def _entry(self, name: str) -> Path | None:
        if self._entries is None:
            self._entries = {}
            for path in sorted((self.path / "explanations").glob("*.npz")):
                try:
                    with zipfile.ZipFile(path) as archive:
                        wanted = (n for n in archive.namelist() if n.endswith(("/values.npy", "/log_odds.npy")))
                        self._entries |= dict.fromkeys(wanted, path)
                except _DAMAGE:
                    continue
        return self._entries.get(name)

    def _opened(self, path: Path) -> zipfile.ZipFile:
        """An archive; the last one stays open, since what is looked up together lies together."""
        if self._archive is None or self._archive[0] != path:
            if self._archive is not None:
                self._archive[1].close()
            self._archive = path, zipfile.ZipFile(path)
        return self._archive[1]

    def explanations(self, **where: Any) -> Iterator[Explanation]:
        """Explanations of the plan's finished shards, filtered by fields of `Explanation` or ``method``."""
        return (found for _, found in self.keyed_explanations(**where))

    def keyed_explanations(self, **where: Any) -> Iterator[tuple[str, Explanation]]:
        """As `explanations`, each with its key."""
        for shard in self.info["shards"]:
            path = self.explanation_file(shard)
            if not path.is_file():
                continue
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if not name.endswith("/values.npy"):
                        continue
                    key = name.removesuffix("/values.npy")
                    found = read_explanation(archive, key)
                    facts = found._asdict() | {"method": found.attribution.method}
                    if all(facts[name] == value for name, value in where.items()):
                        yield key, found

    # -- the run as a whole ------------------------------------------------------------------------------------------

    def write_info(self, info: dict[str, Any]) -> None:
        """Write run.json."""
        write_atomically(self.path / "run.json", json.dumps(info, indent=2, sort_keys=True, default=str).encode())

    @property
    def info(self) -> dict[str, Any]:
        """Content of run.json.

        Raises
        ------
        InputError
            If the folder is not a run.
        """
        path = self.path / "run.json"
        if not path.is_file():
            raise InputError(f"{self.path}: not a run folder (it has no run.json). Give a folder made by `serxai run`.")
        try:
            info = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            advice = "to mend it, name the run's --preset or CONFIG.toml with --resume"
            raise InputError(f"{path}: damaged ({error}); {advice}.") from None
        if "qualification" in info:
            raise InputError(
                f"{self.path}: a qualification of metrics, which holds no scores of methods. Read its "
                "qualification.html and verdicts.csv, continue it with `serxai qualify --resume`, or give the folder "
                "of a run."
            )
        return info

    def scores(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Score rows of all finished shards of the run's plan.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these of `SCORE_COLUMNS`; a few are read several times faster than all.

        Raises
        ------
        InputError
            If a shard is damaged.
        """
        paths = (self.score_file(key) for key in self.info["shards"])
        try:
            tables = [_read_table(path, columns) for path in paths if path.is_file()]
        except ValueError as error:
            raise InputError(f"{error}. Run again with --resume to compute the shard again.") from None
        table = pa.concat_tables([_schema(columns or SCORE_COLUMNS).empty_table(), *tables])
        del tables
        return table.to_pandas(split_blocks=True, self_destruct=True)

    def digest(self) -> str:
        """Digest of the score rows of all finished shards of the run's plan, as they lie on disk."""
        found = hashlib.blake2b(digest_size=16)
        for path in map(self.score_file, self.info["shards"]):
            body = path.read_bytes() if path.is_file() else b""
            found.update(b"%d;" % len(body) + body)
        return found.hexdigest()

    def timings(self, shards: Iterable[str]) -> list[dict[str, Any]]:
        """What each of these shards spent, as far as they are finished."""
        paths = (self.path / "timing" / f"{key}.json" for key in shards)
        return [json.loads(path.read_text("utf-8")) for path in paths if path.is_file()]

    def explanation_seconds(self) -> dict[str, float]:
        """What each explanation took, by key, also in shards of an earlier plan."""
        shards = sorted(path.stem for path in (self.path / "timing").glob("*.json"))
        return {key: s for timing in self.timings(shards) for key, s in timing.get("explanations", {}).items()}


@cache
def _full_schema() -> pa.Schema:
    return pa.Schema.from_pandas(score_frame([]), preserve_index=False)


def _schema(columns: Sequence[str]) -> pa.Schema:
    whole = _full_schema()
    return pa.schema([whole.field(column) for column in columns], whole.metadata)


def pack_scores(frame: pd.DataFrame) -> bytes:
    """Score rows as a sealed parquet file."""
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, _full_schema(), compression="zstd") as writer:
        writer.write_table(pa.Table.from_pandas(frame, _full_schema(), preserve_index=False))
        writer.add_key_value_metadata({"serxai": _MARK + _BLANK})
    return seal(buffer.getvalue())


def _read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one file of score rows.

    A file without a seal was written by another program: what it holds is taken as it is, by reports but not by resume.

    Raises
    ------
    ValueError
        If it is damaged or lacks columns.
    """
    data = path.read_bytes()
    if _MARK in data and not is_sealed(data):
        raise ValueError(f"{path}: damaged (its bytes are not those that were written)")
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        missing = [column for column in SCORE_COLUMNS if column not in file.schema_arrow.names]
        if missing:
            raise ValueError(f"{path}: lacks columns {missing}")
        wanted = list(columns or SCORE_COLUMNS)
        return file.read(wanted, use_threads=False).select(wanted).cast(_schema(wanted))
    except pa.ArrowException as error:
        raise ValueError(f"{path}: damaged ({error})") from None


def _pack(explanations: dict[str, Explanation], predictions: dict[str, np.ndarray]) -> bytes:
    """An .npz whose bytes depend on its content alone (numpy's own writer stamps the time)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:

        def put(name: str, array: np.ndarray) -> None:
            body = io.BytesIO()
            np.save(body, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + ".npy"), body.getvalue(), zipfile.ZIP_DEFLATED)

        for key in sorted(explanations):
            attribution, *origin = explanations[key]
            meta = {name: getattr(attribution, name) for name in _META} | dict(zip(_ORIGIN, origin, strict=True))
            put(f"{key}/values", attribution.values)
            put(f"{key}/freq_edges_hz", attribution.grid.freq_edges_hz)
            put(f"{key}/time_edges_s", attribution.grid.time_edges_s)
            put(f"{key}/meta", np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8))
        for key in sorted(predictions):
            put(f"{key}/log_odds", predictions[key])
        archive.comment = _MARK + _BLANK
    return seal(buffer.getvalue())


_META = ("target", "method", "details", "cues", "model_calls")
_ORIGIN = Explanation._fields[1:]


def _load(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    return np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)


def read_explanation(archive: zipfile.ZipFile, key: str) -> Explanation:
    """One explanation of an open archive."""
    meta = json.loads(_load(archive, f"{key}/meta").tobytes())
    attribution = Attribution(
        values=_load(archive, f"{key}/values"),
        grid=Grid(_load(archive, f"{key}/freq_edges_hz"), _load(archive, f"{key}/time_edges_s")),
        **{name: meta[name] for name in _META} | {"cues": tuple(meta["cues"])},
    )
    return Explanation(attribution, **{name: meta[name] for name in _ORIGIN})
