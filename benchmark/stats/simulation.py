"""False-positive rates of the clustered tests, by simulation on the layouts of the corpora.

Each experiment draws paired differences of mean 0 on the clips of a layout, with effects of speaker, sentence and fold
(the recogniser of a group of speakers) that take given shares of the variance, and tests their mean against 0. Within
the claimed scope the recognisers are fixed: fold effects sum to 0 over the clips. So do sentence effects where a layout
has fewer than 6 sentences. ``python -m serxai.benchmark.cli.false_positives`` prints the table of docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ...keys import rng
from .cluster_variance import MIN_SENTENCES, MIN_SPEAKERS, cluster_fit, variances

FOLDS = 5
ALPHA = 0.05

# clips of the four classes that each speaker (row) has of each sentence (column)
_EMODB = """3545453334 4444544454 3134424522 2342212212 2435234543 3313125121 3434433444 3547445243 3443324443
            4354542525"""


@dataclass(frozen=True)
class Layout:
    """Clips that each speaker has of each sentence.

    Attributes
    ----------
    name : str
    counts : array of int, shape (speakers, sentences)
    """

    name: str
    counts: np.ndarray

    @property
    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of each clip's speaker and sentence, shape (clips,) each."""
        pairs = np.repeat(np.arange(self.counts.size), self.counts.ravel())
        speakers, sentences = np.divmod(pairs, self.counts.shape[1])
        return speakers, sentences


class Effects(NamedTuple):
    """Shares of the variance of a clip's difference, and how effects and noise are distributed.

    Attributes
    ----------
    speaker, sentence, fold, pair : float
        In 0..1, at most 1 together; `pair` is the interaction of speaker and sentence. The rest is noise of each clip.
    kind : str
        "normal", "t3" (heavy tails), "exponential" or "log-normal".
    folds_drawn, sentences_drawn : bool
        Draw effects of fold, and of fewer than 6 sentences, anew in each experiment: outside the claimed scope.
    """

    speaker: float = 0.0
    sentence: float = 0.0
    fold: float = 0.0
    pair: float = 0.0
    kind: str = "normal"
    folds_drawn: bool = False
    sentences_drawn: bool = False


def _sparse(speakers: int, sentences: int, clips: int) -> np.ndarray:
    """One clip each of the first pairs on a diagonal walk: speakers and sentences equally often."""
    counts = np.zeros((speakers, sentences), dtype=int)
    i = np.arange(clips)
    np.add.at(counts, (i % speakers, (i // speakers + i) % sentences), 1)
    return counts


def _unbalanced() -> np.ndarray:
    """Two speakers and two sentences hold most clips, a third of the pairs none."""
    counts = np.outer([9, 6, 2, 2, 1, 1, 1, 1, 1, 1], [4, 3, 1, 1, 1, 1, 1, 1])
    counts[np.add.outer(np.arange(10), np.arange(8)) % 3 == 2] = 0
    return counts


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("emodb", np.array([[int(n) for n in row] for row in _EMODB.split()])),
        Layout("emodb, 80 clips", _sparse(10, 10, 80)),
        Layout("nemo", np.full((8, 14), 4)),
        Layout("planted", np.full((16, 8), 4)),
        Layout("planted, 80 clips", _sparse(16, 8, 80)),
        Layout("unbalanced", _unbalanced()),
        Layout("ravdess", np.full((12, 2), 14)),
        Layout("tess", np.full((2, 40), 4)),
    )
}

# shares as measured (docs/statistics.md), each way alone, larger ones, and none
PATTERNS = {
    "none": Effects(),
    "speaker": Effects(speaker=0.2),
    "sentence": Effects(sentence=0.2),
    "both": Effects(speaker=0.2, sentence=0.2, fold=0.1),
    "both, large": Effects(speaker=0.3, sentence=0.3, fold=0.1, pair=0.1),
    "heavy tails": Effects(speaker=0.2, sentence=0.2, fold=0.1, kind="t3"),
    "exponential": Effects(speaker=0.2, sentence=0.2, fold=0.1, kind="exponential"),
    "log-normal": Effects(speaker=0.2, sentence=0.2, fold=0.1, kind="log-normal"),
}
# what no corpus of this layout can support, and no board claims
NOT_CLAIMED = {
    "emodb": Effects(speaker=0.2, sentence=0.2, fold=0.1, folds_drawn=True),
    "planted": Effects(speaker=0.2, sentence=0.2, fold=0.1, folds_drawn=True),
    "ravdess": Effects(speaker=0.2, sentence=0.2, fold=0.1, sentences_drawn=True),
}
# by speaker alone; Cameron, Gelbach & Miller's; the largest of the variances with df = smaller number of clusters - 1,
# and with the smaller of Satterthwaite's df (`cluster_fit`)
METHODS = ("speaker CR2", "difference of variances", "largest, df = clusters - 1", "largest, Satterthwaite")


def draw(generator: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Independent values of mean 0 and variance 1 of one of the kinds of `Effects`."""
    if kind == "normal":
        return generator.standard_normal(shape)
    if kind == "t3":
        return generator.standard_t(3, shape) / np.sqrt(3)
    if kind == "exponential":
        return generator.exponential(size=shape) - 1
    return (generator.lognormal(size=shape) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)


def simulate(layout: Layout, effects: Effects, experiments: int, generator: np.random.Generator) -> np.ndarray:
    """Differences without a mean, shape (clips, experiments)."""
    speakers, sentences = layout.codes
    n_speakers, n_sentences = layout.counts.shape
    folds = np.arange(n_speakers) % FOLDS
    pairs = speakers * n_sentences + sentences
    noise = 1 - effects.speaker - effects.sentence - effects.fold - effects.pair
    values = np.sqrt(noise) * draw(generator, effects.kind, (len(speakers), experiments))
    fixed = n_sentences < MIN_SENTENCES and not effects.sentences_drawn
    for share, codes, centred in (
        (effects.speaker, speakers, False),
        (effects.sentence, sentences, fixed),
        (effects.fold, folds[speakers], not effects.folds_drawn),
        (effects.pair, pairs, False),
    ):
        if share:
            drawn = draw(generator, effects.kind, (int(codes.max()) + 1, experiments))
            if centred:
                drawn -= np.bincount(codes) @ drawn / len(codes)
            values += np.sqrt(share) * drawn[codes]
    return values


def p_values(values: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    """p of mean 0 by each of `METHODS`, shape (experiments,) each; NaN where the method gives no test."""
    speakers, sentences = layout.codes
    fit, by = cluster_fit(values, speakers, sentences), variances(values, speakers, sentences)
    fewest = min(layout.counts.shape)
    plain = np.full((2, values.shape[1]), np.nan)
    if fewest >= MIN_SPEAKERS:
        # a difference of variances that is not positive rejects nothing
        two_way = np.array([by.difference, by.largest])
        squared = np.divide(fit.mean**2, two_way, out=np.zeros_like(two_way), where=two_way > 0)
        plain = 2 * stats.t.sf(np.sqrt(squared), fewest - 1)
    return dict(zip(METHODS, (cluster_fit(values, speakers).p, *plain, fit.p), strict=True))


def rejection_rates(layout: Layout, effects: Effects, experiments: int, seed: int = 0) -> dict[str, float]:
    """Share of experiments in which each of `METHODS` rejects at 5 %; NaN where it gives no test."""
    generator = rng("false positives", layout.name, list(effects), seed)
    chunks = []
    for start in range(0, experiments, 1000):
        values = simulate(layout, effects, min(1000, experiments - start), generator)
        chunks.append(pd.DataFrame(p_values(values, layout)))
    p = pd.concat(chunks)
    rates = (p < ALPHA).mean().where(p.notna().any())
    return {str(name): float(rate) for name, rate in rates.items()}


def limit(experiments: int, error: float = 0.001) -> float:
    """Rate that a test of level 5 % exceeds in this many experiments with the given probability (binomial)."""
    return float(stats.binom.ppf(1 - error, experiments, ALPHA) / experiments)


def table(
    experiments: int = 4000, seed: int = 0, patterns: Mapping[str, Effects] = PATTERNS
) -> Iterator[dict[str, str | float]]:
    """Rows of the table of false-positive rates: ``layout``, ``method`` and one rate for each pattern of effects."""
    for name, layout in LAYOUTS.items():
        rates = {pattern: rejection_rates(layout, effects, experiments, seed) for pattern, effects in patterns.items()}
        outside = NOT_CLAIMED.get(name)
        if outside is not None:
            rates["not claimed"] = rejection_rates(layout, outside, experiments, seed)
        for method in METHODS:
            yield {"layout": name, "method": method} | {pattern: found[method] for pattern, found in rates.items()}
