"""Piece of a record: the part of a run that is about one corpus and recogniser, without maps, sound or local paths."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ...keys import digest
from ..analysis.record_tables import (
    AXES_KINDS,
    AXES_TABLE,
    BAND_KINDS,
    BAND_TABLE,
    CUES,
    MASK_KINDS,
    MASK_TABLES,
    RETRAINING_KINDS,
    RETRAININGS,
)
from ..analysis.salient_cues import CUE_KINDS
from ..storage.clip_facts import FILE as CLIP_FACTS
from ..storage.clip_facts import write_clip_facts
from ..storage.derived import DERIVED, FORMAT, RECORD, Kinds, derived_file, pack_record_scores, pack_table, read_derived
from ..storage.files import write_atomically
from ..storage.portable import localised, portable
from ..storage.run_info import FILE
from ..storage.store import Store

TABLES: dict[str, Kinds] = {
    BAND_TABLE: BAND_KINDS,
    MASK_TABLES: MASK_KINDS,
    AXES_TABLE: AXES_KINDS,
    CUES: CUE_KINDS,
    RETRAININGS: RETRAINING_KINDS,
}
NOT_ALWAYS = (MASK_TABLES, RETRAININGS)  # there is nothing to put into them of most runs
# what run.json keeps as it is; the rest is of one corpus and recogniser, or of the machine
KEPT = ("finished", "status", "versions", "git", "methods", "metrics", "conditions")
MACHINE = ("platform", "processor", "cpu", "cores", "memory_bytes")


@dataclass
class Piece:
    """Content of one piece.

    Attributes
    ----------
    info : dict
        run.json.
    scores : DataFrame
    clips : DataFrame
        Columns of `storage.clip_facts`.
    tables : dict of str to DataFrame
        By name, of `TABLES`; one that is missing could not be derived.
    """

    info: dict[str, Any]
    scores: pd.DataFrame
    clips: pd.DataFrame
    tables: dict[str, pd.DataFrame]

    def without(self, methods: Collection[str], metrics: Collection[str]) -> Piece:
        """The piece without the rows of these methods and metrics, which a newer version replaces."""
        left = self.scores[~self.scores["method"].isin(methods) & ~self.scores["metric"].isin(metrics)]
        info = json.loads(json.dumps(self.info))
        for kind, gone in (("methods", methods), ("metrics", metrics)):
            info[kind] = {name: facts for name, facts in info[kind].items() if name not in gone}
            config = info["config"]
            config[kind] = [name for name in config[kind] if name not in gone]
            for setting in ("parameters", "clean_only"):
                value = config.get(setting)
                if isinstance(value, dict):
                    config[setting] = {name: v for name, v in value.items() if name not in gone}
                elif isinstance(value, list):
                    config[setting] = [name for name in value if name not in gone]
        tables = {name: table[~table["method"].isin(methods)] for name, table in self.tables.items()}
        return Piece(info, left.reset_index(drop=True), self.clips, tables)

    def files(self) -> dict[str, bytes]:
        """Bytes of the piece's files but ``clips.csv``, by path in its folder."""
        info = self.info | {
            "planned_rows": len(self.scores),
            "clips": int(self.scores["clip"].nunique()),
            "rows": {s: int((self.scores["status"] == s).sum()) for s in ("ok", "failed", "skipped")}
            | {"planned": len(self.scores)},
            RECORD: self.info[RECORD] | {"config": config_digest(self.info["config"])},
        }
        found = {FILE: json.dumps(info, indent=1, sort_keys=True, default=str).encode() + b"\n"}
        found[f"scores/{info['shards'][0]}.parquet"] = pack_record_scores(self.scores)
        for name, table in self.tables.items():
            found[derived_file(Path(), name).as_posix()] = pack_table(table, TABLES[name])
        return found

    def write(self, folder: Path) -> None:
        """Write the piece, and remove files of an earlier one of its name."""
        files = self.files()
        kept = {folder / name for name in files} | {folder / CLIP_FACTS}
        for part in ("scores", DERIVED):
            for path in (folder / part).glob("*"):
                if path not in kept:
                    path.unlink()
        for name, data in files.items():
            write_atomically(folder / name, data)
        write_clip_facts(folder, self.clips.itertuples(index=False, name=None))


def config_digest(config: Mapping[str, Any]) -> str:
    """Digest of a configuration as run.json holds it."""
    return digest("configuration of a record", json.dumps(config, sort_keys=True))


def read_piece(store: Store) -> Piece:
    """Content of a record's folder.

    Raises
    ------
    InputError, ValueError
        If a file is damaged.
    """
    from ..storage.clip_facts import read_clip_facts

    tables = {}
    for name, kinds in TABLES.items():
        table = read_derived(store.path, name, kinds)
        if table is not None:
            tables[name] = table
    return Piece(store.info, store.scores(), read_clip_facts(store.path), tables)


def folder_name(text: str) -> str:
    """A name as one folder: letters, digits and ``.-_@+``, not hidden."""
    return re.sub(r"[^A-Za-z0-9._@+-]+", "-", text).strip(".-") or "unnamed"


def record_info(info: Mapping[str, Any], corpus: str, model: str, trained_on: str, piece: str) -> dict[str, Any]:
    """run.json of a piece: what is said of one corpus and recogniser, without local paths.

    Parameters
    ----------
    info : mapping
        Content of the run's run.json.
    corpus, model, trained_on : str
        As the run's score rows name them.
    piece : str
    """
    title = f"{model} trained on {trained_on}"
    config = {**info["config"], "corpora": [corpus], "models": [model]}
    if "model_settings" in config:
        config["model_settings"] = {n: s for n, s in config["model_settings"].items() if n == model}
    execution = info["execution"]
    found = {name: info[name] for name in KEPT if name in info}
    found |= {
        "config": config,
        "shards": [digest("record of results", corpus, portable(model), piece)],
        "corpora": {n: info["corpora"][n] for n in dict.fromkeys((corpus, trained_on)) if n in info["corpora"]},
        "models": {title: info["models"][title]},
        "fingerprints": {p: f for p, f in info.get("fingerprints", {}).items() if p.startswith(f"{title}, fold ")},
        "fills": {corpus: {model: info.get("fills", {}).get(corpus, {}).get(model, [])}},
        "reach": [r for r in info.get("reach", []) if r.get("corpus") == corpus and r.get("model", model) == model],
        "execution": {
            "device": execution.get("device", "cpu"), "batch_memory": execution.get("batch_memory"), "trust": False,
            "checkpoints": {n: Path(p).name for n, p in execution.get("checkpoints", {}).items() if n == model},
            "data_root": None,
        },
        "machine": {name: info.get("machine", {}).get(name) for name in MACHINE},
        "sessions": [
            {
                "versions": session.get("versions", {}), "computed": session.get("computed", {}),
                "machine": {name: session.get("machine", {}).get(name) for name in MACHINE},
                "execution": {"device": session.get("execution", {}).get("device", "cpu")},
            }
            for session in info.get("sessions", [])
        ],
        "computed": info.get("computed", {}),
        RECORD: {"format": FORMAT, "piece": piece},
    }  # fmt: skip
    if not found["fills"][corpus][model]:
        del found["fills"]
    return localised(found, {model: portable(model)})
