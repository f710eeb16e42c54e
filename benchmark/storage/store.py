"""Store of a run on disk: explanations, score rows and timings in atomically written shards.

    NAME/run.json                 config, versions, git state, machine, status, planned shards
    NAME/explanations/KEY.npz     attributions and predictions of one shard's clips
    NAME/scores/KEY.parquet       score rows of one shard
    NAME/timing/KEY.json          seconds and model calls spent, which differ from run to run

Every file is written under a temporary name, synced and renamed. Explanations and score rows carry their own keys, so
shards are packaging only: a later plan reuses by key what an earlier one computed.

Score and explanation files are *sealed*: they hold the digest of their own bytes, in parquet's metadata and in
the zip archive's comment. Readers of the formats ignore it; `is_sealed` detects any changed byte in 0.1 ms a shard,
where decoding the pages takes twenty times as long and does not detect a changed value.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import zipfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import InputError
from ...metrics.record import OVER_BUDGET
from .bounds import MAX_FILE_BYTES, load_array
from .derived import NO_MAPS, RECORD
from .explanations import (
    DAMAGE,
    Explanation,
    Head,
    check_explanations,
    damage_text,
    explanations_in,
    heads_in,
    open_archive,
    pack_explanations,
    read_explanation,
)
from .files import is_sealed, read_bytes, refuse_links, write_atomically
from .run_info import FILE, read_run_info
from .schema import Timing, read_json
from .score_rows import OUTCOME, SCORE_COLUMNS, pack_scores, read_table, refuse_values, score_frame, score_schema

# folders inside a run's that a command writes to
FOLDERS = ("scores", "explanations", "timing", "tuning", "report", "report/assets", "report/figures", "scratch")
AGAIN = "Run again with --resume to compute the shard again."
SHOWN = 5  # damaged files that a message names


class Store:
    """Shards of one run folder.

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
        """Lock the folder for one writer.

        Raises
        ------
        InputError
            If the folder cannot be written, or another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # neither follows a link nor empties what is there
            opened = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise InputError(
                f"--out {self.path}: cannot write there ({error.strerror}: {error.filename}); give another folder."
            ) from None
        with os.fdopen(opened, "rb+", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"--out {self.path}: another serxai run is writing there; wait for it or give another folder."
                ) from None
            refuse_links(self.path, FOLDERS)
            yield

    # -- shards ------------------------------------------------------------------------------------------------------

    def score_file(self, key: str) -> Path:
        """Path of a shard's score rows."""
        return self.path / "scores" / f"{key}.parquet"

    def explanation_file(self, key: str) -> Path:
        """Path of a shard's explanations."""
        return self.path / "explanations" / f"{key}.npz"

    def timing_file(self, key: str) -> Path:
        """Path of what a shard took."""
        return self.path / "timing" / f"{key}.json"

    def has_shard(self, key: str) -> bool:
        """Whether a shard's score rows exist with an intact seal; see also `is_whole`."""
        try:
            return is_sealed(read_bytes(self.score_file(key), MAX_FILE_BYTES))
        except ValueError:
            return False

    def is_whole(self, key: str) -> bool:
        """Whether a shard's score rows and explanations exist with intact seals, and its timing is not damaged."""
        try:
            if not self.has_shard(key) or not is_sealed(read_bytes(self.explanation_file(key), MAX_FILE_BYTES)):
                return False
            if self.timing_file(key).exists():
                read_json(self.timing_file(key), Timing)
        except ValueError:
            return False
        return True

    def is_pending(self, key: str, retry_failed: bool = False) -> bool:
        """Whether a shard must be computed: not written, damaged, or with failed rows to retry."""
        if not self.is_whole(key):
            return True
        return retry_failed and "failed" in set(read_table(self.score_file(key), ["status"])["status"].to_pylist())

    def read_shard(self, key: str, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
        """Score rows of a shard, or None if it has not been written.

        Raises
        ------
        ValueError
            If it is damaged or lacks columns.
        """
        path = self.score_file(key)
        return read_table(path, columns).to_pandas() if path.is_file() else None

    def write_shard(
        self,
        key: str,
        rows: Iterable[dict[str, Any]],
        explanations: dict[str, Explanation],
        predictions: dict[str, np.ndarray],
        timing: dict[str, Any],
    ) -> None:
        """Write one finished shard; the score file comes last, since its presence marks the shard as done."""
        write_atomically(self.explanation_file(key), pack_explanations(explanations, predictions))
        write_atomically(self.timing_file(key), json.dumps(timing, sort_keys=True).encode())
        write_atomically(self.score_file(key), pack_scores(score_frame(rows)))

    # -- reuse by key ------------------------------------------------------------------------------------------------

    def row(self, key: str) -> dict[str, Any] | None:
        """`OUTCOME` of an earlier score row of any shard by key, None if there is none.

        Failed rows are not reused, nor rows skipped by the budget of explanations made again.
        """
        if self._rows is None:
            self._rows = self._reusable_rows()
        keys = self._rows["key"]
        at = bisect_left(range(len(keys)), key, key=lambda i: keys[i].as_py())
        if at == len(keys) or keys[at].as_py() != key:
            return None
        return {name: self._rows[name][at].as_py() for name in OUTCOME}

    def _reusable_rows(self) -> pa.Table:
        """Outcomes of all intact shards, sorted by key; about 60 bytes a row."""
        schema = score_schema(("key", *OUTCOME))
        tables = [schema.empty_table()]
        for path in sorted((self.path / "scores").glob("*.parquet")):
            if self.has_shard(path.stem):  # a damaged one is computed again
                table = read_table(path, schema.names)
                again = pc.starts_with(table["reason"].cast(pa.string()), OVER_BUDGET)  # the budget is in no key
                tables.append(table.filter(pc.and_not(pc.not_equal(table["status"], "failed"), again)))
        return pa.concat_tables(tables).sort_by("key").combine_chunks()

    def explanation(self, key: str) -> Explanation | None:
        """Earlier explanation by key; None if there is none, or it is damaged."""
        path = self._entry(f"{key}/values.npy")
        try:
            return read_explanation(self._opened(path), key) if path else None
        except DAMAGE:
            return None

    def prediction(self, key: str) -> np.ndarray | None:
        """Earlier log-odds of all classes by key; None if there are none, or they are damaged."""
        path = self._entry(f"{key}/log_odds.npy")
        try:
            return load_array(self._opened(path), f"{key}/log_odds") if path else None
        except DAMAGE:
            return None

    def _entry(self, name: str) -> Path | None:
        if self._entries is None:
            self._entries = {}
            for path in sorted((self.path / "explanations").glob("*.npz")):
                try:
                    with open_archive(path) as archive:
                        wanted = (n for n in archive.namelist() if n.endswith(("/values.npy", "/log_odds.npy")))
                        self._entries |= dict.fromkeys(wanted, path)
                except DAMAGE:
                    continue
        return self._entries.get(name)

    def _opened(self, path: Path) -> zipfile.ZipFile:
        """Open archive; the last one stays open, since successive lookups mostly hit the same archive."""
        if self._archive is None or self._archive[0] != path:
            if self._archive is not None:
                self._archive[1].close()
            self._archive = path, open_archive(path)
        return self._archive[1]

    def explanations(self, **where: Any) -> Iterator[Explanation]:
        """Iterate over explanations of finished shards, filtered by fields of `Head`: one value, or a frozenset."""
        return (explanation for _, explanation in self.keyed_explanations(**where))

    def keyed_explanations(self, **where: Any) -> Iterator[tuple[str, Explanation]]:
        """Iterate as `explanations`, each with its key; values of others are not read."""
        for path in self._explanation_files():
            try:
                yield from explanations_in(path, lambda head: _matches(head, where))
            except DAMAGE as error:
                raise InputError(f"{damage_text(path, error)}. {AGAIN}") from None

    def heads(self, **where: Any) -> Iterator[tuple[Path, Head]]:
        """What each explanation of the finished shards is of, and its file, filtered as `explanations`."""
        for path in self._explanation_files():
            try:
                yield from ((path, head) for head in heads_in(path) if _matches(head, where))
            except DAMAGE as error:
                raise InputError(f"{damage_text(path, error)}. {AGAIN}") from None

    def read_explanation(self, path: Path, key: str) -> Explanation:
        """Read the explanation of a head.

        Raises
        ------
        InputError
            If it is damaged.
        """
        try:
            return read_explanation(self._opened(path), key)
        except DAMAGE as error:
            raise InputError(f"{damage_text(path, error)}. {AGAIN}") from None

    def _explanation_files(self) -> Iterator[Path]:
        if self.is_record:
            raise InputError(f"{self.path}: {NO_MAPS}")
        return (path for path in map(self.explanation_file, self.info["shards"]) if path.exists())

    @property
    def is_record(self) -> bool:
        """Whether the folder is a record (`storage.derived`): scores and derived tables, no explanations."""
        return RECORD in self.info

    # -- the run as a whole ------------------------------------------------------------------------------------------

    def write_info(self, info: dict[str, Any]) -> None:
        """Write run.json."""
        write_atomically(self.path / FILE, json.dumps(info, indent=2, sort_keys=True, default=str).encode())

    @property
    def info(self) -> dict[str, Any]:
        """Content of run.json.

        Raises
        ------
        InputError
            See `read_run_info`.
        """
        return read_run_info(self.path)

    def scores(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Score rows of all finished shards of the run's plan.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these of `SCORE_COLUMNS`; a few are read several times faster than all.

        Raises
        ------
        InputError
            If a shard is damaged, or holds values that are not allowed.
        """
        info = self.info
        paths = (self.score_file(key) for key in info["shards"])
        tables = []
        try:
            for path in paths:
                if path.exists():
                    tables.append(read_table(path, columns, info["planned_rows"]))
                    refuse_values(tables[-1], path)
        except ValueError as error:
            raise InputError(f"{error}. {AGAIN}") from None
        table = pa.concat_tables([score_schema(columns or SCORE_COLUMNS).empty_table(), *tables])
        del tables
        return table.to_pandas(split_blocks=True, self_destruct=True)

    def digest(self) -> str:
        """Digest of the score files of all finished shards of the run's plan."""
        hasher = hashlib.blake2b(digest_size=16)
        for path in map(self.score_file, self.info["shards"]):
            body = path.read_bytes() if path.is_file() else b""
            hasher.update(b"%d;" % len(body) + body)
        return hasher.hexdigest()

    def timings(self, shards: Iterable[str]) -> list[dict[str, Any]]:
        """Timing records of these shards, of those that are finished and whose record is readable."""
        found = []
        for path in map(self.timing_file, shards):
            with suppress(ValueError):  # what it took is lost, no result is; `damage` tells it
                found.append(read_json(path, Timing))
        return found

    def explanation_seconds(self) -> dict[str, float]:
        """Seconds of each explanation by key, shards of earlier plans included."""
        shards = sorted(path.stem for path in (self.path / "timing").glob("*.json"))
        return {key: s for timing in self.timings(shards) for key, s in timing.get("explanations", {}).items()}

    def damage(self) -> list[str]:
        """Say what is damaged among the files of the run's plan, each by file and field; a missing one is not damaged.

        A file of scores or explanations without a seal was written by another program and is not damage.
        """
        info = self.info
        found = []
        for key in info["shards"]:
            scores, explanations, timing = self.score_file(key), self.explanation_file(key), self.timing_file(key)
            try:
                if scores.exists():
                    refuse_values(read_table(scores, None, info["planned_rows"]), scores)
            except ValueError as error:
                found.append(str(error))
            try:
                if explanations.exists():
                    check_explanations(explanations)
            except DAMAGE as error:
                found.append(damage_text(explanations, error))
            try:
                if timing.exists():
                    read_json(timing, Timing)
            except ValueError as error:
                found.append(str(error))
        return found

    def refuse_damage(self) -> None:
        """Refuse a run with damaged files.

        Raises
        ------
        InputError
            Naming the files and their fields, see `damage`.
        """
        found = self.damage()
        if found:
            more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise InputError(f"{'; '.join(found[:SHOWN])}{more}. {AGAIN}")


def _matches(head: Head, where: Mapping[str, Any]) -> bool:
    return all(
        getattr(head, name) in value if isinstance(value, frozenset) else getattr(head, name) == value
        for name, value in where.items()
    )
