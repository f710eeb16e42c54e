"""EmoLIME's two published example clips: band weights of a run's recognisers beside those printed in the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.ticker import FixedLocator, MaxNLocator

from ....datasets.corpora import load_corpus
from ....errors import InputError
from ....methods.emolime_paper import ALPHA, paper_masks
from ....methods.explainer import Request
from ....methods.masks import all_masks
from ....methods.records import make_method
from ....methods.surrogates import lime_weights, unshrunk
from ...run.execution import Execution
from ...run.model_settings import stored_settings
from ...run.workbench import Workbench
from ...storage.store import Store
from .maps import from_mel, mel, print_weights, spectrogram, tint
from .style import FAINT, GREY, INK, PAPER, PAPER_DPI, SMALL, TWO_COLUMNS, new_page, save

if TYPE_CHECKING:
    from ...run.runner import Progress

METHOD, CORPUS = "emolime", "emodb"
COLOURS = ("#000000", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#009E73", "#D55E00")  # Okabe and Ito
# clip -> the emotion explained in the authors' pictures
EXAMPLES = {"11b03Wa": "anger", "10b01Fa": "happiness"}


@dataclass(frozen=True, eq=False)
class BandExample:
    """A clip explained by weights of frequency bands, all at equal shrinkage (that is, none).

    Attributes
    ----------
    clip, emotion : str
    samples : array, shape (n_samples,)
    freq_edges_hz : array, shape (n_bands + 1,)
    here : dict of str to array, shape (n_bands,)
        Weights by recogniser.
    published : dict of str to array, shape (n_bands,)
        Published weights by picture.
    """

    clip: str
    emotion: str
    samples: np.ndarray
    freq_edges_hz: np.ndarray
    here: Mapping[str, np.ndarray]
    published: Mapping[str, np.ndarray]


def emolime_example(examples: Sequence[BandExample], picture: str | Path) -> Path:
    """Draw band explanations as in EmoLIME's example figure, with true band edges, in one scale.

    Parameters
    ----------
    examples : sequence of BandExample
        One row of the figure each, of the same recognisers.
    picture : path

    Raises
    ------
    InputError
        If there is no example, or weights and edges do not fit.
    """
    if not examples:
        raise InputError("emolime_example: there is no example to draw.")
    for example in examples:
        for weights in (*example.here.values(), *example.published.values()):
            if len(weights) + 1 != len(example.freq_edges_hz):
                raise InputError(
                    f"emolime_example: {len(weights)} weights need one more band edge, got "
                    f"{len(example.freq_edges_hz)}."
                )
    names = list(dict.fromkeys(name for example in examples for name in example.here))
    drawn = [w for example in examples for w in (*example.here.values(), *example.published.values())]
    largest = max((float(np.abs(weights).max()) for weights in drawn), default=1.0) or 1.0
    note = (
        "Green speaks for the emotion, vermilion against it. The published pictures label the same bands 0-1, 1-2, ... "
        "7-8 kHz; they are 16 mel rows each, so those labels are wrong: this axis shows their true edges. Published "
        "weights come from the authors' recognisers; the shrinkage by their ridge penalty is taken off."
    )
    heading = "EmoLIME: weights of eight bands for the explained emotion, without shrinkage, in one scale"
    with rc_context(PAPER):
        figure, content = new_page(TWO_COLUMNS, 0.4 + 2.3 * len(examples), heading, note)
        ratios = [1.2] * len(names) + [1.0]
        axes = content.subplots(len(examples), len(names) + 1, width_ratios=ratios, squeeze=False, sharey="row")
        for row, example in zip(axes, examples, strict=True):
            edges = np.asarray(example.freq_edges_hz, dtype=np.float64)
            for ax, name in zip(row, names, strict=False):
                duration = spectrogram(ax, example.samples)
                if name in example.here:
                    shown = np.asarray(example.here[name])
                    tint(ax, (edges, np.array([0.0, duration])), shown[:, None], largest)
                    print_weights(ax, edges, shown, duration, size=SMALL)
                ax.yaxis.set_major_locator(FixedLocator(list(edges)))
                ax.set_xlabel("time / s")
                ax.set_title(f"{example.clip}, {example.emotion}: {name}", loc="left", fontweight="bold")
            row[0].set_ylabel("true band edges / Hz")
            _weights_beside(row[-1], example, edges, names, largest)
        return save(figure, _numbers(examples), picture, dpi=PAPER_DPI)


def _weights_beside(ax: Any, example: BandExample, edges: np.ndarray, names: Sequence[str], largest: float) -> None:
    middle = from_mel((mel(edges[:-1]) + mel(edges[1:])) / 2)
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    for place, name in enumerate(names):
        if name in example.here:
            colour = COLOURS[place % len(COLOURS)]
            ax.plot(example.here[name], middle, "o-", color=colour, linewidth=0.8, label=name)
    for place, (name, weights) in enumerate(example.published.items()):
        ax.plot(
            weights, middle, "Dsv^"[place % 4] + "--", color=GREY, markerfacecolor="white", markeredgecolor=INK,
            markeredgewidth=0.6, linewidth=0.7, label=f"published: {name}",
        )  # fmt: skip
    for edge in edges[1:-1]:
        ax.axhline(edge, color=FAINT, linewidth=0.6, zorder=0)
    ax.set_xlim(-1.08 * largest, 1.08 * largest)
    ax.set_xlabel("weight")
    ax.tick_params(labelleft=False, left=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=1, fontsize=SMALL)


def _numbers(examples: Sequence[BandExample]) -> pd.DataFrame:
    parts = []
    for example in examples:
        edges = np.asarray(example.freq_edges_hz, dtype=np.float64)
        for source, drawn in (("here", example.here), ("published", example.published)):
            for name, weights in drawn.items():
                part = pd.DataFrame({"clip": example.clip, "emotion": example.emotion, "band": np.arange(len(weights))})
                part["low_hz"], part["high_hz"] = edges[:-1], edges[1:]
                parts.append(part.assign(source=source, by=name, weight=weights))
    return pd.concat(parts, ignore_index=True)


def published_weights() -> pd.DataFrame:
    """Weights digitised from the EmoLIME authors' example pictures, with their source; one row per picture and band."""
    source = files("serxai.benchmark.report") / "reference" / "emolime_example_published.csv"
    with source.open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def published_of(clip: str) -> dict[str, np.ndarray]:
    """Published weights of a clip by recogniser and picture, the shrinkage by the authors' ridge penalty taken off.

    Their masks are known (`paper_masks`), so the least-squares weights follow exactly from the printed ones, but for
    the rounding of these (.005).
    """
    table = published_weights()
    masks = paper_masks()
    found = {}
    for (model, picture), part in table[table["clip"] == clip].groupby(["model", "picture"], sort=False):
        weights = part.sort_values("band")["weight"].to_numpy()
        name = f"recogniser {model}" if model == "not stated" else str(model)
        found[f"{name} ({picture.rstrip('/')})"] = unshrunk(weights, masks, lime_weights(masks), ALPHA)
    return found


def emolime_example_of_run(
    store: Store, picture: Path, data_root: Path | None = None, progress: Progress | None = None
) -> Path:
    """Draw `emolime_example` of the two published clips, explained by all recognisers of the run.

    The run's stored explanations are taken where it holds them; else its own recogniser explains the clip (256 model
    calls). No model is trained.

    Raises
    ------
    InputError
        If EMODB or one of the two clips is not there, or a recogniser of the run is not, or is another one now.
    """
    info = store.info
    config = info["config"]
    root = data_root or info["execution"].get("data_root")
    corpus = load_corpus(CORPUS, root)
    missing = [clip for clip in EXAMPLES if clip not in corpus.table.index]
    if missing:
        raise InputError(f"figure emolime-example: {corpus.root} lacks {', '.join(missing)}; complete the corpus.")
    stored = {
        (e.clip, e.attribution.target, e.model): e.attribution
        for e in store.explanations(corpus=CORPUS, condition="clean", repeat=0, method=METHOD)
        if e.clip in EXAMPLES
    }
    recognisers = _Recognisers(info, Path(root) if root else None, progress)
    alpha = float(config.get("parameters", {}).get(METHOD, {}).get("alpha", 0.0))
    examples = []
    for done, (clip, emotion) in enumerate(EXAMPLES.items()):
        sound = corpus.clip(clip)
        here: dict[str, Any] = {}
        for model in config["models"]:
            if progress:
                progress("explaining", done * len(config["models"]) + len(here), len(EXAMPLES) * len(config["models"]))
            attribution = stored.get((clip, emotion, model))
            if attribution is None:
                recogniser = recognisers.of(model, sound.speaker)
                method = make_method(METHOD, **config.get("parameters", {}).get(METHOD, {}))
                seed = ("explain", config["seed"], CORPUS, clip, METHOD, "clean", 0)
                attribution = method.attribute(Request(recogniser, sound, emotion, seed))
            masks = all_masks(attribution.values.size)
            weights = attribution.values[:, 0].astype(np.float64)
            here[model] = unshrunk(weights, masks, lime_weights(masks), alpha)
            edges = attribution.grid.freq_edges_hz
        examples.append(BandExample(clip, emotion, sound.samples, edges, here, published_of(clip)))
    return emolime_example(examples, picture)


class _Recognisers:
    """Recognisers of a run, as it recorded them; none is trained, and no code that its file names is run."""

    def __init__(self, info: Mapping[str, Any], data_root: Path | None, progress: Progress | None) -> None:
        self.config, self.fingerprints = info["config"], info.get("fingerprints", {})
        checkpoints = {name: Path(path) for name, path in info["execution"].get("checkpoints", {}).items()}
        execution = Execution(data_root=data_root, checkpoints=checkpoints)
        ensemble, settings = self.config.get("ensemble", False), stored_settings(self.config)
        self.bench = Workbench(execution, progress, train=False, ensemble=ensemble, settings=settings)

    def of(self, model: str, speaker: str) -> Any:
        """The recogniser that the run has for a speaker of EMODB."""
        if model.startswith("python:"):
            raise InputError(
                f"figure emolime-example: the run does not hold its two clips explained by {model}, which is code of "
                "your own; run it on emodb with --method emolime and all clips."
            )
        corpora = self.config["corpora"]
        trained_on = self.config["trained_on"] or (CORPUS if CORPUS in corpora else corpora[0])
        models = self.bench.models(model, trained_on)
        prefix = f"{model} trained on {trained_on}, fold "
        for name, fingerprint in self.fingerprints.items():
            if name.startswith(prefix):
                here = self.bench.recogniser(model, trained_on, name.removeprefix(prefix)).fingerprint
                if here != fingerprint:
                    raise InputError(
                        f"figure emolime-example: {model} trained on {trained_on} is not the recogniser of the run "
                        f"(fingerprint {here} here, {fingerprint} there); run it again."
                    )
                break
        return self.bench.recogniser(model, trained_on, models.fold_for(CORPUS, speaker))
