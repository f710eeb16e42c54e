"""``serxai explain``: figures, sounds, numbers and a page of the explanations of audio files."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import soundfile
from rich.table import Table
from rich.text import Text

from ...audio import SAMPLE_RATE
from ...audio.loudness import matched_levels
from ...datasets.corpora import CORPORA, corpus_forbidding_derivatives, load_corpus
from ...errors import ClipError
from ...methods.attribution import Attribution
from ...methods.caveats import LEAST_RESPONSE, Caveat
from ...methods.kept import kept_and_removed
from ...methods.masks import FillEffect
from ...methods.reading import left_unsaid
from ..api.clip_explanation import ClipExplanation
from ..api.explain import DEFAULT_METHODS, Making, explain_each, models_for
from ..api.sound import sound_of
from ..report.catalogue import explanation_overlay
from ..report.figures.cues import beyond_saliency_figure
from ..report.figures.interactions import interaction_matrix, part_labels
from ..report.figures.maps import MAX_BANDS, channel_maps, explanation_panel
from ..report.html import explanation_page
from ..run.options import device_option
from ..run.params import parameters_option
from ..storage.files import write_atomically, writing
from .console import Bars, Console, styled


def run(arguments: Namespace) -> int:
    """Explain files one after the other; exit status 1 if a method failed, or one of several files."""
    methods = tuple(dict.fromkeys(arguments.method)) or DEFAULT_METHODS
    parameters = parameters_option(arguments.param, methods)
    making = Making(methods, arguments.fill, arguments.seed, parameters, arguments.data_root)
    device = device_option(arguments.device)
    with Bars() as bars:
        models = models_for(
            arguments.model,
            arguments.trained_on,
            arguments.checkpoint,
            arguments.trust,
            arguments.ensemble,
            arguments.data_root,
            bars,
        )
    results, failed = [], False
    for audio in arguments.audio:
        try:
            with Bars() as bars:
                (explained,) = explain_each(
                    [sound_of(audio)], models, making, arguments.target, arguments.trained_on, device, bars
                )
        except ClipError as error:
            if len(arguments.audio) == 1:
                raise
            Console(stderr=True).print(styled("red", "not explained:", f" {error}"), soft_wrap=True)
            failed = True
            continue
        results.append(_finish(explained, audio, arguments))
        failed = failed or bool(explained.failures)
    if arguments.json:
        print(json.dumps(results[0] if len(arguments.audio) == 1 else results, indent=2))
    return 1 if failed else 0


def _finish(explained: ClipExplanation, audio: Path, arguments: Namespace) -> dict[str, Any] | None:
    """Write the files of one explanation and print it; with ``--json`` return it instead."""
    withheld = sounds_withheld(explained, audio, arguments.data_root)
    with writing(arguments.out, resumable=False):
        files = write_explanation(explained, audio, arguments.out, withheld)
    if arguments.json:
        return as_json(explained, audio, withheld)
    for remark in explained.remarks:
        warned = "; there is nothing to explain in it, and serxai run skips it" if remark.unusable else ""
        text = f"warning: {audio}: {remark.kind}: {remark.detail}{warned}."
        Console(stderr=True).print(Text(text, style="yellow"), soft_wrap=True)
    for warning in explained.warnings:
        Console(stderr=True).print(Text(f"warning: {audio}: {warning}.", style="yellow"), soft_wrap=True)
    if len(arguments.audio) > 1:
        Console().print(styled("bold", f"\n{audio}"), soft_wrap=True)
    _print(explained, files)
    if withheld:
        Console().print(withheld, style="yellow", soft_wrap=True)
    return None


def sounds_withheld(explained: ClipExplanation, audio: Path, data_root: Path | None) -> str:
    """Reason why the kept and removed sounds may not be written (licence); empty where they may."""
    corpus = explained.clip.corpus
    record = load_corpus(corpus, data_root).record if corpus and not CORPORA.get(corpus).derivatives_allowed else None
    if record is None or record.derivatives_allowed:
        record = corpus_forbidding_derivatives(audio, data_root)
    if record is None:
        return ""
    own = " If it is yours to decide, write derivatives_allowed = true into corpus.toml of that folder."
    return (
        f"No sounds were written: {audio.name} belongs to the corpus {record.name}, whose licence ({record.licence}) "
        "does not let audio made from it be passed on." + own * record.name.startswith("folder:")
    )


def write_explanation(explained: ClipExplanation, audio: Path, out: Path, withheld: str) -> dict[str, Path]:
    """Write PNG, JSON, HTML and the sounds of what was kept and removed; returns the files by kind.

    `withheld` is the reason not to write sounds, empty where they may be written (see `sounds_withheld`).
    """
    out.mkdir(parents=True, exist_ok=True)
    stem = audio.stem
    title = explained.heading
    number, sentences = bool(explained.outputs), explained.sentences
    overlay = explanation_overlay(
        explained.clip.samples, explained.attributions, title, out / f"{stem}.png", explained.caveats, number
    )
    files = {"picture": overlay}
    cues, channels, interactions = {}, {}, {}
    for name, attribution in explained.attributions.items():
        if attribution.channels:
            file = out / f"{_file_name(stem, name)}-channels.png"
            channels[name] = files[f"channels of {name}"] = channel_maps(
                explained.clip.samples, attribution, title, file
            )
        if attribution.cues:
            file = out / f"{_file_name(stem, name)}.png"
            cues[name] = files[f"picture of {name}"] = beyond_saliency_figure(
                explained.clip.samples, attribution, title, file, sentences[name], number
            )
        if attribution.interactions is not None:
            file = out / f"{_file_name(stem, name)}-interactions.png"
            interactions[name] = files[f"interactions of {name}"] = interaction_matrix(attribution, title, file)
    sounds = {} if withheld else _write_sounds(explained, stem, out)
    panels = {
        name: explanation_panel(explained.clip.samples, name, attribution, explained.caveats[name])
        for name, attribution in explained.attributions.items()
    }
    files["numbers"] = out / f"{stem}.json"
    write_atomically(files["numbers"], json.dumps(as_json(explained, audio, withheld), indent=2).encode())
    files["page"] = out / f"{stem}.html"
    page = explanation_page(
        as_json(explained, audio, withheld),
        panels,
        sounds,
        {name: file.read_bytes() for name, file in cues.items()},
        {name: file.read_bytes() for name, file in channels.items()},
        {name: file.read_bytes() for name, file in interactions.items()},
    )
    write_atomically(files["page"], page.encode())
    return files


def _write_sounds(explained: ClipExplanation, stem: str, out: Path) -> dict[str, tuple[str, str, str]]:
    """Write the recording and, for each method, what is kept and removed, at one level; file names by method."""
    original = f"{stem}-original.wav"
    made, names = {original: explained.clip.samples}, {}
    for method, attribution in explained.attributions.items():
        start = _file_name(stem, method)
        names[method] = original, f"{start}-kept.wav", f"{start}-removed.wav"
        made |= dict(zip(names[method][1:], kept_and_removed(explained.clip, attribution), strict=True))
    for name, samples in zip(made, matched_levels(list(made.values())), strict=True):
        soundfile.write(out / name, samples, SAMPLE_RATE, subtype="PCM_16")
    return names


def _file_name(stem: str, method: str) -> str:
    """Start of the name of a method's files; colons and slashes are not allowed in file names everywhere."""
    return f"{stem}-{method.replace(':', '-').replace('/', '-')}"


def as_json(explained: ClipExplanation, audio: Path, withheld: str = "") -> dict[str, Any]:
    """All results but the samples as JSON types; deterministic."""
    found, sentences = explained.caveats, explained.sentences
    return {
        "audio": audio.name,
        "clip_sha256": explained.clip.sha256,
        "duration_s": explained.clip.duration_s,
        "model": explained.recogniser.name,
        "trained_on": explained.recogniser.trained_on,
        "trained": explained.trained,
        "fingerprint": explained.recogniser.fingerprint,
        "seen_in_training": explained.seen_in_training,
        "probabilities": explained.probabilities,
        **({"outputs": explained.outputs} if explained.outputs else {}),
        "target": explained.target,
        "contrast": explained.contrast,
        "explanations": {
            name: {"parameters": explained.parameters.get(name, {})}
            | _attribution(a, explained)
            | {"sentence": sentences[name], "caveats": _caveats(found[name], sentences[name])}
            for name, a in explained.attributions.items()
        },
        "failures": explained.failures,
        "remarks": [asdict(remark) for remark in explained.remarks],
        "warnings": list(explained.warnings),
        "training_distance": [asdict(deviation) for deviation in explained.deviations],
        "fills": [asdict(effect) | {"note": effect.note} for effect in explained.fills],
        "sounds_withheld": withheld,
    }


def _caveats(found: Sequence[Caveat], sentence: str) -> list[dict[str, Any]]:
    """Caveats as JSON types, with whether the explanation's sentence states them already."""
    unsaid = left_unsaid(sentence, found)
    return [asdict(one) | {"unreadable": one.unreadable, "in_sentence": one not in unsaid} for one in found]


def _attribution(attribution: Attribution, explained: ClipExplanation) -> dict[str, Any]:
    matrix = attribution.interactions
    return {
        "values": attribution.values.tolist(),
        "errors": None if attribution.errors is None else attribution.errors.tolist(),
        "freq_edges_hz": attribution.grid.freq_edges_hz.tolist(),
        "time_edges_s": attribution.grid.time_edges_s.tolist(),
        "outside_share": attribution.outside_share(explained.clip.duration_s),
        "model_calls": attribution.model_calls,
        "details": attribution.details,
        "cues": list(attribution.cues),
        "interactions": None if matrix is None else {"parts": part_labels(attribution), "effects": matrix.tolist()},
    }


def weight_lines(attribution: Attribution) -> list[str]:
    """Lines with the weights of a band explanation and the fit of its surrogate; empty for other maps."""
    values, edges, details = attribution.values, attribution.grid.freq_edges_hz, attribution.details
    if values.shape[1] > 1 or values.shape[0] > MAX_BANDS or "full" not in details:
        return []
    noise = [""] * len(values) if attribution.errors is None else [f" ± {e:.3f}" for e in attribution.errors[:, 0]]
    lines = [
        f"{low:.0f}-{high:.0f} Hz: {weight:+.3f}{error}"
        for low, high, weight, error in zip(edges[:-1], edges[1:], values[:, 0], noise, strict=True)
    ]
    fit = f"R² {details['r2']:.3f}, " if "r2" in details else ""
    if details.get("shrinkage", 1) < 1:
        fit += f"shrunk to {details['shrinkage']:.3f} by its penalty, "
    if "noise" in details:
        fit += f"noise {details['noise']:.3f} a weight, " if details["noise"] else "no noise: no mask was drawn, "
    clip = f" (the clip itself {details['clip']:.3f})" if "clip" in details else ""
    return [*lines, f"{fit}with all kept {details['full']:.3f}{clip}, with all removed {details['none']:.3f}"]


def interaction_table(attribution: Attribution) -> Table:
    """Table of main effects (bold) and pairwise interactions: what two parts do together beyond what each does."""
    labels, effects = part_labels(attribution), attribution.interactions
    assert effects is not None
    grid = Table(
        title="main effects (bold) and interactions of two",
        title_justify="left", title_style="dim", box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold",
    )  # fmt: skip
    grid.add_column("", no_wrap=True)
    for number in range(1, len(labels) + 1):
        grid.add_column(str(number), justify="right", no_wrap=True)
    for i, label in enumerate(labels):
        cells = [Text(f"{x:+.2f}", style="bold" if i == j else "") for j, x in enumerate(effects[i])]
        grid.add_row(Text(f"{i + 1} {label}"), *cells)
    return grid


def fill_lines(fills: Sequence[FillEffect]) -> list[str]:
    """Lines with the effect of each fill on the prediction, and the warnings of extreme ones."""
    unfilled = {"none": "the clip", "resynthesis": "resynthesised with nothing removed"}
    number = any(e.probability is None for e in fills)
    controls = [f"{unfilled[e.fill]} {_prediction(e):.3f}" for e in fills if e.fill in unfilled]
    filled = [
        f"{e.fill}{' at the level of the clip' if e.match_level else ''} {_prediction(e):.3f}"
        for e in fills
        if e.fill not in unfilled
    ]
    replaced = [f"all of it replaced by {', '.join(filled)}"] if filled else []
    lines = [f"{'output' if number else 'probability'}: {'; '.join([*controls, *replaced])}"] if fills else []
    falls = [f"{e.fill} {e.fall:.2f}" for e in fills if e.fill not in unfilled and not e.match_level]
    response = "output" if number else "log-odds"
    lines += [f"fall of the {response} with all of it replaced: {', '.join(falls)}"] if falls else []
    weak = [e.fill for e in fills if e.fill not in unfilled and not e.match_level and e.fall < LEAST_RESPONSE]
    if weak and not number:
        lines.append(f"no reach on this clip (a fall below {LEAST_RESPONSE:g}): {', '.join(weak)}")
    return lines + [e.note for e in fills if e.note]


def _prediction(effect: FillEffect) -> float:
    """Probability of the target under a fill; its value, of a recogniser that predicts numbers."""
    return effect.log_odds if effect.probability is None else effect.probability


def _print(explained: ClipExplanation, files: dict[str, Path]) -> None:
    console = Console()
    ranked = sorted(explained.probabilities.items(), key=lambda item: -item[1])
    values = [f"{name} {p:.2f}" for name, p in ranked]
    values += [f"{name} {value:.3f}" for name, value in explained.outputs.items()]
    console.print(f"{'predicted' if explained.outputs else 'heard'}: {', '.join(values)}", highlight=False)
    if explained.trained:
        console.print(f"recogniser: {explained.trained}", highlight=False, soft_wrap=True)
    corpus = explained.recogniser.trained_on or "the training data"
    if explained.seen_in_training == "unknown":
        console.print(f"Whether {corpus} holds this speaker is unknown.", style="yellow")
    elif explained.seen_in_training == "yes":
        console.print(f"The model was trained on this clip or on this speaker ({corpus}).", style="yellow")
    sentences = explained.sentences
    for name, attribution in explained.attributions.items():
        calls = f"{attribution.model_calls} model call{'s' * (attribution.model_calls != 1)}"
        console.print(styled("bold", name, f" ({calls}): {sentences[name]}"))
        for line in weight_lines(attribution):
            console.print(f"  {line}", highlight=False)
        if attribution.interactions is not None:
            console.print(interaction_table(attribution))
    for name, reason in explained.failures.items():
        console.print(styled("red", f"{name} could not explain the clip:", f" {reason}"))
    for line in fill_lines(explained.fills):
        console.print(line, highlight=False)
    for kind, path in files.items():
        console.print(f"{kind}: {path}", highlight=False, soft_wrap=True)
