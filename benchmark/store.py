"""A run on disk: explanations, score rows and timings in shards that are whole or absent.

    NAME/run.json                 config, versions, git state, machine, status, planned shards
    NAME/explanations/KEY.npz     attributions and predictions of one shard's clips
    NAME/scores/KEY.parquet       score rows of one shard
    NAME/timing/KEY.json          seconds and model calls spent, which differ from run to run

Every file is written under a temporary name, synced and renamed. Explanations and score rows carry their own keys, so
shards are packaging only: what another plan needs again is found by key and not computed again.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..audio import Grid
from ..errors import InputError
from ..methods.attribution import Attribution

SCORE_COLUMNS = [
    "corpus", "fold", "model", "trained_on", "seen_in_training", "method", "condition", "strength", "metric", "family",
    "direction", "space", "fill", "clip", "speaker", "emotion", "predicted", "correct", "target", "target_rule", "seed",
    "repeat", "value", "status", "reason", "model_calls", "metric_version", "method_version", "key",
]  # fmt: skip
_TYPES = {"strength": "float64", "value": "float64", "correct": "boolean", "model_calls": "int64", "seed": "int64",
          "repeat": "int64"}  # fmt: skip


def score_frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Score rows as a table with all columns, in order, of fixed types."""
    frame = pd.DataFrame(list(rows), columns=SCORE_COLUMNS)
    return frame.astype({column: _TYPES.get(column, "str") for column in SCORE_COLUMNS})


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file or none: temporary name, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
        self._rows: dict[str, dict[str, Any]] | None = None
        self._entries: dict[str, Path] | None = None

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

    def has_shard(self, key: str) -> bool:
        """Whether the score rows of a shard are there and readable."""
        try:
            return self.read_shard(key) is not None
        except (OSError, ValueError):
            return False

    def read_shard(self, key: str) -> pd.DataFrame | None:
        """Score rows of a shard, or None if it has not been written."""
        path = self.path / "scores" / f"{key}.parquet"
        return score_frame_from(path) if path.is_file() else None

    def write_shard(
        self,
        key: str,
        rows: Iterable[dict[str, Any]],
        explanations: dict[str, Explanation],
        predictions: dict[str, np.ndarray],
        timing: dict[str, Any],
    ) -> None:
        """Write one finished shard; the score file, whose presence says that the shard is done, comes last."""
        write_atomically(self.path / "explanations" / f"{key}.npz", _pack(explanations, predictions))
        write_atomically(self.path / "timing" / f"{key}.json", json.dumps(timing, sort_keys=True).encode())
        buffer = io.BytesIO()
        score_frame(rows).to_parquet(buffer, index=False, compression="zstd")
        write_atomically(self.path / "scores" / f"{key}.parquet", buffer.getvalue())

    # -- reuse by key ------------------------------------------------------------------------------------------------

    def row(self, key: str) -> dict[str, Any] | None:
        """A score row written earlier, whatever its shard; failed rows are not reused."""
        if self._rows is None:
            self._rows = {}
            for path in sorted((self.path / "scores").glob("*.parquet")):
                try:
                    frame = score_frame_from(path)
                except (OSError, ValueError):
                    continue  # damaged: its shard is computed again
                kept = frame[frame["status"] != "failed"]
                self._rows |= {row["key"]: row for row in kept.to_dict("records")}
        return self._rows.get(key)

    def explanation(self, key: str) -> Attribution | None:
        """An attribution written earlier."""
        path = self._entry(f"{key}/values.npy")
        return _unpack(path, key).attribution if path else None

    def prediction(self, key: str) -> np.ndarray | None:
        """Log-odds of all classes written earlier."""
        path = self._entry(f"{key}/log_odds.npy")
        return _load_arrays(path, key)["log_odds"] if path else None

    def _entry(self, name: str) -> Path | None:
        if self._entries is None:
            self._entries = {}
            for path in sorted((self.path / "explanations").glob("*.npz")):
                try:
                    with zipfile.ZipFile(path) as archive:
                        self._entries |= dict.fromkeys(archive.namelist(), path)
                except (OSError, zipfile.BadZipFile):
                    continue
        return self._entries.get(name)

    def explanations(self, **where: Any) -> Iterator[Explanation]:
        """Explanations of the plan's finished shards, filtered by fields of `Explanation` or ``method``."""
        for shard in self.info["shards"]:
            path = self.path / "explanations" / f"{shard}.npz"
            if not path.is_file():
                continue
            with zipfile.ZipFile(path) as archive:
                keys = [name.split("/")[0] for name in archive.namelist() if name.endswith("/values.npy")]
            for key in keys:
                found = _unpack(path, key)
                facts = found._asdict() | {"method": found.attribution.method}
                if all(facts[name] == value for name, value in where.items()):
                    yield found

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
            return json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: damaged ({error}); run again with --resume.") from None

    def scores(self) -> pd.DataFrame:
        """Score rows of all finished shards of the run's plan."""
        frames = [frame for key in self.info["shards"] if (frame := self.read_shard(key)) is not None]
        return pd.concat(frames, ignore_index=True) if frames else score_frame([])

    def timings(self, shards: Iterable[str]) -> list[dict[str, Any]]:
        """What each of these shards spent, as far as they are finished."""
        paths = (self.path / "timing" / f"{key}.json" for key in shards)
        return [json.loads(path.read_text("utf-8")) for path in paths if path.is_file()]


def score_frame_from(path: Path) -> pd.DataFrame:
    """Read one file of score rows.

    Raises
    ------
    ValueError
        If it is damaged or lacks columns.
    """
    import pyarrow

    try:
        frame = pd.read_parquet(path)
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path}: damaged ({error})") from None
    missing = [column for column in SCORE_COLUMNS if column not in frame]
    if missing:
        raise ValueError(f"{path}: lacks columns {missing}")
    return frame


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
    return buffer.getvalue()


_META = ("target", "method", "details", "cues", "model_calls")
_ORIGIN = Explanation._fields[1:]


def _load_arrays(path: Path, key: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.startswith(f"{key}/")]
        return {
            n.removeprefix(f"{key}/").removesuffix(".npy"): np.load(io.BytesIO(archive.read(n)), allow_pickle=False)
            for n in names
        }


def _unpack(path: Path, key: str) -> Explanation:
    arrays = _load_arrays(path, key)
    meta = json.loads(arrays["meta"].tobytes())
    attribution = Attribution(
        values=arrays["values"],
        grid=Grid(arrays["freq_edges_hz"], arrays["time_edges_s"]),
        **{name: meta[name] for name in _META} | {"cues": tuple(meta["cues"])},
    )
    return Explanation(attribution, **{name: meta[name] for name in _ORIGIN})
