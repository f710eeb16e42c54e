"""``serxai reproduce``: the reproduced papers' recipes beside what their authors' own programs gave, as Markdown."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import InputError
from .console import Bars

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINT = "beyond-saliency-tess"


def emolime(arguments: Namespace) -> int:
    """Print `emolime-paper` beside the EmoLIME authors' program, on black boxes with known weights."""
    from ...datasets.clip import Clip
    from ...datasets.corpora import load_corpus
    from ..analysis.authors import emolime_numbers
    from ..analysis.reproduce_emolime import compare_emolime, summarise_emolime

    numbers = emolime_numbers()[: arguments.limit or None]

    def clip(name: str) -> Clip:
        for corpus in ("emodb", "ravdess"):
            loaded = load_corpus(corpus, arguments.data_root)
            if Path(name).stem in loaded.table.index:
                return loaded.clip(Path(name).stem)
        raise InputError(f"reproduce emolime: neither emodb nor ravdess holds clip {name}; complete the corpora.")

    with Bars() as bars:
        table = compare_emolime(clip, numbers, partial(bars, "explaining"))
    _write(table, arguments.out, "reproduce-emolime.csv")
    summary = summarise_emolime(table)
    print(f"Band weights of `emolime-paper` beside the authors' program, n = {len(numbers)} clips.\n")
    print(markdown(summary))
    return 0


def beyond_saliency(arguments: Namespace) -> int:
    """Print both `beyond-saliency-paper` recipes beside the Beyond Saliency authors' program."""
    import numpy as np
    import soundfile

    from ...datasets.clip import Clip
    from ...datasets.corpora import load_corpus
    from ...models.obtain import load_model
    from ...models.recogniser import TorchRecogniser
    from ..analysis.authors import beyond_saliency_numbers
    from ..analysis.reproduce_beyond_saliency import HALVES, compare_beyond_saliency, summarise_cues

    if not arguments.checkpoint.is_file():
        raise InputError(
            f"--checkpoint {arguments.checkpoint}: no such file; give the file best_model_tess.pth that "
            "the authors released."
        )
    recogniser = load_model(CHECKPOINT, checkpoint=arguments.checkpoint)
    assert isinstance(recogniser, TorchRecogniser)
    corpus = load_corpus("tess", arguments.data_root)
    numbers = beyond_saliency_numbers()[: arguments.limit or None]
    missing = [entry["clip"] for entry in numbers if entry["clip"] not in corpus.table.index]
    if missing:
        raise InputError(f"reproduce beyond-saliency: {corpus.root} lacks {', '.join(missing)}; complete the corpus.")

    def sound(name: str) -> tuple[Clip, np.ndarray, int]:
        samples, rate = soundfile.read(corpus.root / str(corpus.table.loc[name, "file"]), dtype="float32")
        return corpus.clip(name), samples, int(rate)

    halves = [half for half in HALVES if half != "os" or not arguments.without_occlusion]
    with Bars() as bars:
        windows, cues = compare_beyond_saliency(recogniser, sound, halves, numbers, partial(bars, "explaining"))
    _write(windows, arguments.out, "reproduce-windows.csv")
    _write(cues, arguments.out, "reproduce-cues.csv")
    print(f"Maps and windows beside the authors' program, n = {len(numbers)} clips.\n")
    print(markdown(windows))
    print("\nCues: mean over clips of their means and standard deviations over frames.\n")
    print(markdown(summarise_cues(cues)))
    return 0


def markdown(table: pd.DataFrame) -> str:
    """A table in GitHub's Markdown; numbers with four significant digits, missing ones as a dash."""
    rows = [[_cell(value) for value in row] for row in table.itertuples(index=False)]
    lines = [[str(name).replace("_", " ") for name in table.columns], ["---"] * table.shape[1], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    return str(value)


def _write(table: pd.DataFrame, out: Path | None, name: str) -> None:
    if out is None:
        return
    from ..report.escape import csv_safe
    from ..storage.files import write_atomically, writing

    with writing(out, resumable=False):
        write_atomically(out / name, csv_safe(table).to_csv(index=False, lineterminator="\n").encode())
