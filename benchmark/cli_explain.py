"""``serxai explain``: one audio file, pictures, sounds and numbers of why the recogniser decided."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import soundfile
from rich.console import Console

from ..audio import SAMPLE_RATE
from ..errors import InputError
from ..methods.attribution import Attribution
from .api import DEFAULT_METHODS, Explained, explain, kept_and_removed
from .console import Bars
from .figures import explanation_overlay
from .report import explanation_page
from .store import write_atomically


def run(arguments: Namespace) -> int:
    """Explain one file; exit status 1 if some method could not."""
    if arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out {arguments.out} is a file; give a folder.")
    with Bars() as bars:
        explained = explain(
            arguments.audio,
            tuple(dict.fromkeys(arguments.method)) or DEFAULT_METHODS,
            arguments.model,
            target=arguments.target,
            trained_on=arguments.trained_on,
            checkpoint=arguments.checkpoint,
            data_root=arguments.data_root,
            seed=arguments.seed,
            progress=bars,
        )
    files = write_explanation(explained, arguments.audio, arguments.out)
    summary = as_json(explained, arguments.audio)
    if arguments.json:
        print(json.dumps(summary, indent=2))
    else:
        _print(explained, files)
    return 1 if explained.failures else 0


def write_explanation(explained: Explained, audio: Path, out: Path) -> dict[str, Path]:
    """Write PNG, JSON, HTML and the sounds of what was kept and removed; returns the files by kind."""
    out.mkdir(parents=True, exist_ok=True)
    stem = audio.stem
    title = f"{audio.name}: {explained.target} (p = {explained.probabilities[explained.target]:.2f})"
    files = {"picture": explanation_overlay(explained.clip.samples, explained.attributions, title, out / f"{stem}.png")}
    sounds: dict[str, tuple[str, str]] = {}
    for name, attribution in explained.attributions.items():
        names = f"{stem}-{name}-kept.wav", f"{stem}-{name}-removed.wav"
        for file, samples in zip(names, kept_and_removed(explained.clip, attribution), strict=True):
            soundfile.write(out / file, samples, SAMPLE_RATE, subtype="PCM_16")
        sounds[name] = names
    files["numbers"] = out / f"{stem}.json"
    write_atomically(files["numbers"], json.dumps(as_json(explained, audio), indent=2).encode())
    files["page"] = out / f"{stem}.html"
    page = explanation_page(as_json(explained, audio), files["picture"].read_bytes(), sounds)
    write_atomically(files["page"], page.encode())
    return files


def as_json(explained: Explained, audio: Path) -> dict[str, Any]:
    """Everything but the samples, in JSON's types; the same bytes for the same input."""
    return {
        "audio": audio.name,
        "clip_sha256": explained.clip.sha256,
        "duration_s": explained.clip.duration_s,
        "model": explained.recogniser.name,
        "trained_on": explained.recogniser.trained_on,
        "fingerprint": explained.recogniser.fingerprint,
        "seen_in_training": explained.seen_in_training,
        "probabilities": explained.probabilities,
        "target": explained.target,
        "explanations": {name: _attribution(a, explained) for name, a in explained.attributions.items()},
        "failures": explained.failures,
    }


def _attribution(attribution: Attribution, explained: Explained) -> dict[str, Any]:
    return {
        "values": attribution.values.tolist(),
        "freq_edges_hz": attribution.grid.freq_edges_hz.tolist(),
        "time_edges_s": attribution.grid.time_edges_s.tolist(),
        "outside_share": attribution.outside_share(explained.clip.duration_s),
        "model_calls": attribution.model_calls,
        "details": attribution.details,
        "cues": list(attribution.cues),
        "sentence": sentence(attribution),
    }


def sentence(attribution: Attribution) -> str:
    """One sentence for a person: from the cue table where there is one, else where the relevance lies."""
    if attribution.cues:
        from ..methods.beyond_saliency import sentence as cue_sentence

        return cue_sentence(attribution)
    values = attribution.values
    if not (values > 0).any():
        return f"Nothing in the clip speaks for {attribution.target}."
    row, column = divmod(int(values.argmax()), values.shape[1])
    low, high = attribution.grid.freq_edges_hz[row : row + 2]
    text = f"What speaks most for {attribution.target} lies at {low:.0f}-{high:.0f} Hz"
    if values.shape[1] == 1:
        return text + "."
    start, end = attribution.grid.time_edges_s[column : column + 2]
    return text + f", {max(start, 0):.2f}-{end:.2f} s."


def _print(explained: Explained, files: dict[str, Path]) -> None:
    console = Console()
    ranked = sorted(explained.probabilities.items(), key=lambda item: -item[1])
    console.print("heard: " + ", ".join(f"{name} {p:.2f}" for name, p in ranked), highlight=False)
    if explained.seen_in_training == "unknown":
        heard = explained.recogniser.trained_on or "the training data"
        console.print(f"[yellow]Whether {heard} holds this speaker is unknown.[/]")
    for name, attribution in explained.attributions.items():
        console.print(
            f"[bold]{name}[/] ({attribution.model_calls} model calls): {sentence(attribution)}", highlight=False
        )
    for name, reason in explained.failures.items():
        console.print(f"[red]{name} could not explain the clip:[/] {reason}", highlight=False)
    for kind, path in files.items():
        console.print(f"{kind}: {path}", highlight=False, soft_wrap=True)
