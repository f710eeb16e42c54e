"""Every metric against somebody else's code, as a table in the tests' output.

Each metric is scored as in a run, through its record; beside it stands what other implementations make of the same
clip, map and recogniser. Quantus and captum work on inputs of a network, our metrics on cells of the waveform: here
they are given the network `MaskSpace`, whose input says which share of each cell is kept. So their removals are ours,
and clip by clip the numbers must be the same. A metric without an oracle must say why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy as scipy_entropy
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import auc as sklearn_auc
from sklearn.metrics import jaccard_score, roc_auc_score

from serxai import _torchvision
from serxai.audio import Grid, Plane, band_edges_hz
from serxai.keys import rng
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Case, Explained
from serxai.metrics.faithfulness import SHARES
from serxai.metrics.localisation import case_truth_mask
from serxai.metrics.prediction import CORRELATION_SIZE
from serxai.metrics.quantus_adapter import steps_of
from serxai.metrics.records import METRICS, make_metric
from serxai.metrics.removals import SUBSET_SHARES, random_removals
from serxai.metrics.road import NOISE, feature_log_odds
from serxai.metrics.road import SHARES as ROAD_SHARES
from serxai.metrics.sanity import PARTS, randomised
from serxai.metrics.sensitivity import noisy_copies, representations
from serxai.metrics.trajectory import RANDOM_TRAJECTORIES, STEPS, super_grid
from serxai.metrics.weak_truth import case_marks

_torchvision.ensure_torchvision()

FLOAT = 1e-5  # of log-odds: copies rendered and scored one by one
LIVELY = 200.0  # times the weights of the last layer: removals move the log-odds by about 1
SHORT_S = 0.32  # Quantus solves ROAD's systems directly


class MaskSpace(torch.nn.Module):
    """The recogniser as a network on masks, 1 for a cell that is kept: (n, 1, n_freq, n_time) -> log-odds."""

    def __init__(self, case: Case, grid: Grid) -> None:
        super().__init__()
        self.case, self.grid = case, grid
        self.unused = torch.nn.Parameter(torch.zeros(1))  # Quantus asks for the device of the parameters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        case = self.case
        masks = x.detach().numpy().reshape(-1, *self.grid.shape)
        each = [case.plane.render(mask[None], self.grid, case.fill_spectrum) for mask in masks]
        return torch.tensor(np.concatenate([case.recogniser.log_odds(waveform) for waveform in each])).float()


@dataclass(frozen=True)
class Scored:
    """A case with two explanations: a map without ties, and a method's that can explain again."""

    case: Case
    drawn: Explained
    made: Explained

    def __call__(self, metric: str, explained: Explained | None = None) -> float:
        return make_metric(metric).score(self.case, explained or self.drawn).value

    @property
    def map(self) -> np.ndarray:
        return self.case.map(self.drawn.attribution)

    def left(self, keep: np.ndarray, grid: Grid | None = None) -> np.ndarray:
        """Log-odds of the target for each mask, one by one."""
        network = MaskSpace(self.case, grid or self.case.grid)
        return network(torch.tensor(keep, dtype=torch.float32))[:, self.case.target_index].numpy().astype(float)

    def quantus(self, name: str, relevance: np.ndarray, grid: Grid, **more: object) -> np.ndarray:
        """What a metric of Quantus makes of this one clip and map."""
        import quantus

        metric = getattr(quantus, name)(disable_warnings=True, perturb_baseline=0.0, return_aggregate=False, **more)
        found = metric(
            model=MaskSpace(self.case, grid).eval(), x_batch=np.ones((1, 1, *grid.shape), np.float32),
            y_batch=np.array([self.case.target_index]), a_batch=relevance[None, None].astype(np.float32),
            softmax=False, channel_first=True, device="cpu", batch_size=1,
        )  # fmt: skip
        return np.asarray(found[0], dtype=float)


Pairs = Iterator[tuple[float, float]]


@dataclass(frozen=True)
class Oracle:
    """Somebody else's score: `compare` yields (ours, theirs)."""

    name: str
    compare: Callable[[Scored], Pairs]
    tolerance: float
    difference: str


ORACLES: dict[str, list[Oracle]] = {}
NO_OTHER = "serxai's own definition; plain twins in "
REASONS = {
    "weak-stress-mass": NO_OTHER + "test_weak_truth.py",
    "weak-voicing-mass": NO_OTHER + "test_weak_truth.py",
    "direction-agreement": NO_OTHER + "test_plausibility.py",
    "direction-agreement:": NO_OTHER + "test_plausibility.py",
    "salience-contrast": NO_OTHER + "test_plausibility_contrast.py",
    "cue-profile": NO_OTHER + "test_plausibility_profile.py",
    "causal-cue-fidelity": NO_OTHER + "test_causal_cues.py",
    "causal-cue-fidelity:": NO_OTHER + "test_causal_cues.py",
    "explanation-calls": "a count that the recogniser keeps",
}


def oracle(metric: str, name: str, tolerance: float, difference: str = "none") -> Callable:
    def keep(compare: Callable[[Scored], Pairs]) -> Callable[[Scored], Pairs]:
        ORACLES.setdefault(metric, []).append(Oracle(name, compare, tolerance, difference))
        return compare

    return keep


# -- removals along a ranking ------------------------------------------------------------------------------------------


def curve(scored: Scored, order: np.ndarray, grid: Grid | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Area and log-odds without the first 0, 1/16, ... of an order, mask by mask."""
    grid = grid or scored.case.grid
    counts = np.array([round(i * order.size / STEPS) for i in range(STEPS + 1)])
    keep = np.ones((STEPS + 1, order.size))
    for row, count in zip(keep, counts, strict=True):
        row[order[:count]] = 0
    return counts / order.size, scored.left(keep.reshape(-1, *grid.shape), grid)


def most_first(relevance: np.ndarray) -> np.ndarray:
    return np.argsort(-relevance, axis=None)


@oracle("deletion", "Quantus PixelFlipping, scikit-learn auc", FLOAT, "Quantus leaves out the clip itself")
def _(scored: Scored) -> Pairs:
    flipped = scored.quantus("PixelFlipping", scored.map, scored.case.grid, features_in_step=scored.map.size // STEPS)
    whole = scored.case.log_odds[scored.case.target_index]
    yield scored("deletion"), sklearn_auc(np.linspace(0, 1, STEPS + 1), np.r_[whole, flipped])


@oracle("insertion", "Quantus PixelFlipping of the negated map, scikit-learn auc", FLOAT, "as deletion")
def _(scored: Scored) -> Pairs:
    flipped = scored.quantus("PixelFlipping", -scored.map, scored.case.grid, features_in_step=scored.map.size // STEPS)
    whole = scored.case.log_odds[scored.case.target_index]
    yield scored("insertion"), sklearn_auc(np.linspace(0, 1, STEPS + 1), np.r_[whole, flipped])


@oracle("abpc", "masks one by one, scikit-learn auc", FLOAT)
def _(scored: Scored) -> Pairs:
    least = sklearn_auc(*curve(scored, most_first(-scored.map)))
    yield scored("abpc"), least - sklearn_auc(*curve(scored, most_first(scored.map)))


@oracle("abpc-native", "masks one by one on the map's own grid, scikit-learn auc", FLOAT)
def _(scored: Scored) -> Pairs:
    grid = Grid(band_edges_hz(8), np.linspace(0, scored.case.clip.duration_s, 5))
    values = rng("native", scored.case.fill).standard_normal(grid.shape)
    least, most = (sklearn_auc(*curve(scored, most_first(v), grid)) for v in (-values, values))
    yield scored("abpc-native", Explained(Attribution(values, grid, scored.case.target, "coarse"))), least - most


@oracle("comprehensiveness", "the paper's difference, masks one by one", FLOAT)
def _(scored: Scored) -> Pairs:
    area, left = curve(scored, most_first(scored.map))
    yield scored("comprehensiveness"), float(np.mean([left[0] - left[area == share][0] for share in SHARES]))


@oracle("sufficiency", "the paper's difference, masks one by one", FLOAT)
def _(scored: Scored) -> Pairs:
    area, left = curve(scored, most_first(-scored.map))
    yield scored("sufficiency"), float(np.mean([left[0] - left[area == 1 - share][0] for share in SHARES]))


@oracle("delta-auc", "masks one by one, scikit-learn auc", FLOAT)
def _(scored: Scored) -> Pairs:
    seeds = [(*scored.case.seed, "random order", i) for i in range(RANDOM_TRAJECTORIES)]
    orders = [order for seed in seeds for o in [rng(*seed).permutation(scored.map.size)] for order in (o, o[::-1])]
    random = np.mean([sklearn_auc(*curve(scored, order)) for order in orders])
    yield scored("delta-auc"), random - sklearn_auc(*curve(scored, most_first(scored.map)))


@oracle("monotonicity", "masks one by one, counted", 0.0, "Quantus replaces baseline by baseline: always 1")
def _(scored: Scored) -> Pairs:
    left = curve(scored, most_first(scored.map))[1][::-1]
    yield scored("monotonicity"), sum(after >= before for before, after in pairwise(left)) / STEPS


@oracle("irof", "masks one by one, scikit-learn auc", FLOAT, "Quantus cuts segments out of a picture; here super-cells")
def _(scored: Scored) -> Pairs:
    grid = super_grid(scored.case)
    area, left = curve(scored, most_first(scored.case.map_on(scored.drawn.attribution, grid)), grid)
    chance = 1 / (1 + np.exp(-left))
    yield scored("irof"), 1 - sklearn_auc(area, chance / chance[0])


# -- relevance as prediction of effects --------------------------------------------------------------------------------


def effects(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """The random sets, and what removing each takes away, one by one."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        removed = random_removals(scored.case).removed
        whole = scored.case.log_odds[scored.case.target_index]
        return removed, whole - scored.left(~removed.reshape(-1, *scored.case.grid.shape))

    return scored.case.shared("effects by hand", make)


@oracle("faithfulness-correlation", "scipy pearsonr, masks one by one", FLOAT)
def _(scored: Scored) -> Pairs:
    removed, effect = (x.reshape(len(SUBSET_SHARES), -1, *x.shape[1:])[CORRELATION_SIZE] for x in effects(scored))
    yield scored("faithfulness-correlation"), pearsonr(removed @ scored.map.ravel(), effect)[0]


@oracle("faithfulness-correlation", "Quantus FaithfulnessCorrelation", 0.6, "its own 150 sets: 4 standard errors")
def _(scored: Scored) -> Pairs:
    np.random.seed(0)  # noqa: NPY002  (Quantus draws from the global stream)
    theirs = scored.quantus(
        "FaithfulnessCorrelation", scored.map, scored.case.grid, nr_runs=150, subset_size=scored.map.size // 4
    )
    yield scored("faithfulness-correlation"), float(theirs)


@oracle("sensitivity-n", "scipy pearsonr at each size", FLOAT, "Quantus correlates over clips: no score of one clip")
def _(scored: Scored) -> Pairs:
    removed, effect = (x.reshape(len(SUBSET_SHARES), -1, *x.shape[1:]) for x in effects(scored))
    by_size = [pearsonr(r @ scored.map.ravel(), e)[0] for r, e in zip(removed, effect, strict=True)]
    yield scored("sensitivity-n"), float(np.mean(by_size))


@oracle("infidelity", "captum infidelity(normalize=True)", 1e-4, "over the squared effect; captum may turn a map round")
def _(scored: Scored) -> Pairs:
    from captum.metrics import infidelity

    removed, effect = effects(scored)
    relevance = scored.map if removed @ scored.map.ravel() @ effect > 0 else -scored.map  # where captum would turn it
    sets = iter(torch.tensor(removed.reshape(-1, 1, *scored.case.grid.shape), dtype=torch.float32))
    network, ones = MaskSpace(scored.case, scored.case.grid), torch.ones(1, 1, *scored.case.grid.shape)

    def perturb(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        taken = torch.stack([next(sets) for _ in inputs])
        return taken, inputs - taken

    theirs = infidelity(
        lambda x: network(x)[:, scored.case.target_index], perturb, ones,
        torch.tensor(relevance[None, None], dtype=torch.float32), n_perturb_samples=len(removed),
        max_examples_per_batch=len(removed), normalize=True,
    )  # fmt: skip
    same = Explained(replace(scored.drawn.attribution, values=relevance))
    yield scored("infidelity", same), float(theirs) / float(np.mean(effect**2))


@oracle("faithfulness-estimate", "Quantus FaithfulnessEstimate", 1e-4)
def _(scored: Scored) -> Pairs:
    grid = super_grid(scored.case)
    relevance = scored.case.map_on(scored.drawn.attribution, grid)
    theirs = scored.quantus("FaithfulnessEstimate", relevance, grid, features_in_step=1)
    yield scored("faithfulness-estimate"), float(theirs)


@oracle("monotonicity-correlation", "scipy spearmanr, masks one by one", FLOAT, "Quantus measures uncertainty")
def _(scored: Scored) -> Pairs:
    grid = super_grid(scored.case)
    alone = 1 - np.eye(grid.shape[0] * grid.shape[1]).reshape(-1, *grid.shape)
    effect = scored.case.log_odds[scored.case.target_index] - scored.left(alone, grid)
    relevance = scored.case.map_on(scored.drawn.attribution, grid).ravel()
    yield scored("monotonicity-correlation"), spearmanr(np.abs(relevance), effect**2)[0]


# -- behind the mask, in features --------------------------------------------------------------------------------------


def chances(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """The network's own softmax on the clip and behind the mask."""
    case, keep = scored.case, np.clip(scored.map, 0, None) / scored.map.max()
    waveforms = [case.plane.samples, case.plane.render(keep[None], case.grid, case.fill_spectrum)[0]]
    with torch.no_grad():
        logits = [case.recogniser.network(case.recogniser.features(w)) for w in waveforms]
    clip, seen = softmax(torch.cat(logits).numpy().astype(float), axis=1)
    return clip, seen


@oracle("average-increase", "L-MAC's formula on the network's softmax", 0.0)
def _(scored: Scored) -> Pairs:
    clip, seen = (p[scored.case.target_index] for p in chances(scored))
    yield scored("average-increase"), float(seen > clip)


@oracle("average-drop", "L-MAC's formula on the network's softmax", FLOAT)
def _(scored: Scored) -> Pairs:
    clip, seen = (p[scored.case.target_index] for p in chances(scored))
    yield scored("average-drop"), max(0, clip - seen) / clip


@oracle("average-gain", "L-MAC's formula on the network's softmax", FLOAT)
def _(scored: Scored) -> Pairs:
    clip, seen = (p[scored.case.target_index] for p in chances(scored))
    yield scored("average-gain"), max(0, seen - clip) / (1 - clip)


@oracle("input-fidelity", "the network's own decisions", 0.0)
def _(scored: Scored) -> Pairs:
    clip, seen = chances(scored)
    yield scored("input-fidelity"), float(clip.argmax() == seen.argmax())


@oracle("road", "Quantus noisy_linear_imputation", 1e-4, "its noise is drawn anew for each share, ours once")
def _(scored: Scored) -> Pairs:
    from quantus.functions.perturb_func import noisy_linear_imputation

    samples = scored.case.clip.samples[: int(SHORT_S * 16000)]
    short = replace(scored.case, clip=scored.case.clip.with_samples(samples, None), _memo={})
    cnn, grid = short.recogniser, short.recogniser.feature_grid(len(samples))
    features = cnn.features(samples)[0, 0].double().numpy()
    values = rng("road", short.fill).standard_normal(grid.shape)
    noise = rng(*short.seed, "road noise").standard_normal(grid.shape) * NOISE * features.std()
    means = []
    for order in (most_first(-values), most_first(values)):
        maps = []
        for share in ROAD_SHARES:
            holes = order[: int(share * order.size)]
            imputed = noisy_linear_imputation(features[None], holes, noise=0.0)[0].reshape(-1)
            imputed[holes] += noise.ravel()[holes]
            maps.append(imputed.reshape(grid.shape))
        means.append(feature_log_odds(cnn, np.stack(maps))[:, short.target_index].mean())
    explained = Explained(Attribution(values, grid, short.target, "drawn"))
    yield make_metric("road").score(short, explained).value, means[0] - means[1]


@oracle("quantus:", "Quantus called by hand, one clip", 1e-6)
def _(scored: Scored) -> Pairs:
    import quantus

    cnn, n = scored.case.recogniser, scored.case.clip.samples.size
    features = cnn.features(scored.case.clip.samples).numpy()
    relevance = scored.case.map_on(scored.drawn.attribution, cnn.feature_grid(n))[None, None]
    flipping = {"features_in_step": steps_of(features.size), "return_auc_per_sample": True}
    for name, more in (("Sparseness", {}), ("PixelFlipping", flipping), ("Complexity", {})):
        (theirs,) = getattr(quantus, name)(disable_warnings=True, **more)(
            model=cnn.network, x_batch=features, y_batch=np.array([scored.case.target_index]), a_batch=relevance,
            channel_first=True, softmax=True, device="cpu", batch_size=1,
        )  # fmt: skip
        yield scored(f"quantus:{name}"), float(theirs)


# -- localisation, complexity ------------------------------------------------------------------------------------------


def of_maps(name: str, relevance: np.ndarray, mask: np.ndarray | None = None, **more: object) -> float:
    """A metric of Quantus that looks at maps alone."""
    import quantus

    (value,) = getattr(quantus, name)(normalise=False, disable_warnings=True, **more)(
        model=None, x_batch=np.zeros((1, 1, *relevance.shape)), y_batch=np.zeros(1, int),
        a_batch=relevance[None, None].copy(), s_batch=None if mask is None else mask[None, None], channel_first=True,
    )  # fmt: skip
    return float(value)


@oracle("mass-accuracy", "Quantus RelevanceMassAccuracy", 1e-9, "Quantus divides by the signed sum")
def _(scored: Scored) -> Pairs:
    positive = np.clip(scored.map, 0, None)
    yield scored("mass-accuracy"), of_maps("RelevanceMassAccuracy", positive, case_truth_mask(scored.case), abs=False)


@oracle("rank-accuracy", "Quantus RelevanceRankAccuracy", 1e-9)
def _(scored: Scored) -> Pairs:
    yield (
        scored("rank-accuracy"),
        of_maps("RelevanceRankAccuracy", scored.map, case_truth_mask(scored.case), abs=False),
    )


@oracle("pointing-game", "Quantus PointingGame", 0.0)
def _(scored: Scored) -> Pairs:
    yield scored("pointing-game"), of_maps("PointingGame", scored.map, case_truth_mask(scored.case), abs=False)


@oracle("truth-auc", "scikit-learn roc_auc_score", 1e-9)
def _(scored: Scored) -> Pairs:
    yield scored("truth-auc"), roc_auc_score(case_truth_mask(scored.case).ravel(), scored.map.ravel())


@oracle("weak-stress-auc", "scikit-learn roc_auc_score over columns", 1e-12)
def _(scored: Scored) -> Pairs:
    yield from weak_auc(scored, "stress")


@oracle("weak-voicing-auc", "scikit-learn roc_auc_score over columns", 1e-12)
def _(scored: Scored) -> Pairs:
    yield from weak_auc(scored, "voicing")


def weak_auc(scored: Scored, kind: str) -> Pairs:
    """Columns that are mostly labelled; positive are those that are mostly marked."""
    marked, labelled = case_marks(scored.case, kind)
    used = labelled >= 0.5
    theirs = roc_auc_score(marked[used] > labelled[used] / 2, scored.map.sum(axis=0)[used])
    yield scored(f"weak-{kind}-auc"), theirs


@oracle("truth-iou", "scikit-learn jaccard_score", 1e-9)
def _(scored: Scored) -> Pairs:
    mask = case_truth_mask(scored.case).ravel()
    top = np.zeros(mask.size, dtype=bool)
    top[most_first(scored.map)[: int(mask.sum())]] = True
    yield scored("truth-iou"), jaccard_score(mask, top)


@oracle("gini", "Quantus Sparseness", 1e-5, "Quantus adds 1e-7 to each cell")
def _(scored: Scored) -> Pairs:
    yield scored("gini"), of_maps("Sparseness", scored.map, abs=True)


@oracle("entropy", "Quantus Complexity over that of an even map", 1e-5, "Quantus does not normalise")
def _(scored: Scored) -> Pairs:
    yield scored("entropy"), of_maps("Complexity", scored.map, abs=True) / np.log(scored.map.size)


@oracle("entropy", "scipy entropy over that of an even map", 1e-9)
def _(scored: Scored) -> Pairs:
    yield scored("entropy"), scipy_entropy(np.abs(scored.map).ravel()) / np.log(scored.map.size)


@oracle("effective-area", "counted cell by cell", 0.0, "Quantus' EffectiveComplexity counts cells above a threshold")
def _(scored: Scored) -> Pairs:
    left, cells = 0.8 * np.abs(scored.map).sum(), 0
    for cell in sorted(np.abs(scored.map).ravel(), reverse=True):
        if left <= 1e-12:
            break
        left, cells = left - cell, cells + 1
    yield scored("effective-area"), cells / scored.map.size


# -- robustness, sanity ------------------------------------------------------------------------------------------------


def again(scored: Scored) -> tuple[np.ndarray, list[np.ndarray]]:
    """The method's map and those of the noisy copies, asked for one by one."""
    case, explain = scored.case, scored.made.explain
    copies = [case.map(explain(c, "small noise", i)) for i, c in enumerate(noisy_copies(case).clips)]
    return case.map(scored.made.attribution), copies


@oracle("consistency", "scipy spearmanr", 1e-9)
def _(scored: Scored) -> Pairs:
    case, own = scored.case, scored.map
    draws = [own + s * rng("near", s, case.fill).standard_normal(own.shape) for s in (0.5, 0.2, 9.0)]
    clean, repeat, other = (Attribution(d, case.grid, case.target, "drawn") for d in draws)
    companions = {"clean": clean, "repeat": repeat, "other": other, "other_duration_s": case.clip.duration_s}
    s, ceiling, floor = (spearmanr(case.map(clean), m, axis=None)[0] for m in (own, case.map(repeat), case.map(other)))
    yield scored("consistency", replace(scored.drawn, **companions)), (s - floor) / (ceiling - floor)


@oracle("max-sensitivity", "captum sensitivity_max", 1e-5)
def _(scored: Scored) -> Pairs:
    from captum.metrics import sensitivity_max

    copies = noisy_copies(scored.case).clips
    stack = torch.tensor(np.stack([c.samples for c in copies]))

    def explain(inputs: torch.Tensor | tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        batch = inputs[0] if isinstance(inputs, tuple) else inputs
        clips = copies if torch.equal(batch, stack) else [scored.case.clip] * len(batch)
        return (torch.tensor(np.stack([scored.case.map(scored.made.explain(clip)) for clip in clips])),)

    theirs = sensitivity_max(
        explain,
        torch.tensor(scored.case.clip.samples[None]),
        lambda inputs, radius: stack,
        n_perturb_samples=len(stack),
    )
    yield scored("max-sensitivity", scored.made), float(theirs)


@oracle("average-sensitivity", "numpy, map by map", 1e-9)
def _(scored: Scored) -> Pairs:
    own, copies = again(scored)
    moved = [np.linalg.norm(copy - own) / np.linalg.norm(own) for copy in copies]
    yield scored("average-sensitivity", scored.made), float(np.mean(moved))


@oracle("local-lipschitz", "Quantus lipschitz_constant", 1e-5, "times |clip| / |map|: both changes are relative here")
def _(scored: Scored) -> Pairs:
    from quantus.functions.similarity_func import distance_euclidean, lipschitz_constant

    own, copies = again(scored)
    clip = scored.case.clip.samples.astype(float)
    slopes = [
        lipschitz_constant(
            own.ravel(), copy.ravel(), clip, noisy.samples.astype(float),
            norm_numerator=distance_euclidean, norm_denominator=distance_euclidean,
        )
        for copy, noisy in zip(copies, noisy_copies(scored.case).clips, strict=True)
    ]  # fmt: skip
    yield scored("local-lipschitz", scored.made), max(slopes) * np.linalg.norm(clip) / np.linalg.norm(own)


def objectives(scored: Scored, name: str, objective: str, own: np.ndarray, changed: np.ndarray, keys: str) -> float:
    """Logarithm of Quantus' largest relative objective over the copies."""
    import quantus

    metric = getattr(quantus, name)(disable_warnings=True)
    e, es = again(scored)
    found = [
        getattr(metric, objective)(
            **{keys: own[None].copy(), f"{keys}s": c[None].copy(), "e_x": e[None, None], "e_xs": copy[None, None]}
        )[0]
        for c, copy in zip(changed, es, strict=True)
    ]
    return float(np.log(max(found)))


TINY = "logarithm; tiny cells are held up, not added to"


@oracle("relative-input-stability", "Quantus' objective", 1e-3, TINY)
def _(scored: Scored) -> Pairs:
    clips = (scored.case.clip, *noisy_copies(scored.case).clips)
    own, *changed = (np.sqrt(Plane(c.samples).energy(scored.case.grid))[None] for c in clips)
    theirs = objectives(scored, "RelativeInputStability", "relative_input_stability_objective", own, changed, "x")
    yield scored("relative-input-stability", scored.made), theirs


@oracle("relative-representation-stability", "Quantus' objective", 1e-3, TINY)
def _(scored: Scored) -> Pairs:
    copies = np.stack([clip.samples for clip in noisy_copies(scored.case).clips])
    own, changed = representations(scored.case.recogniser, scored.case.clip.samples, copies)
    theirs = objectives(
        scored, "RelativeRepresentationStability", "relative_representation_stability_objective", own, changed, "l_x"
    )
    yield scored("relative-representation-stability", scored.made), theirs


@oracle("relative-output-stability", "Quantus' objective", 1e-3, TINY)
def _(scored: Scored) -> Pairs:
    # in one batch: in the change by little noise, the last digits of another one would show
    outputs = scored.case.recogniser.log_odds(np.stack([c.samples for c in noisy_copies(scored.case).clips]))
    theirs = objectives(
        scored, "RelativeOutputStability", "relative_output_stability_objective", scored.case.log_odds, outputs, "h_x"
    )
    yield scored("relative-output-stability", scored.made), theirs


def with_random_parts(scored: Scored, parts: tuple[int, ...]) -> np.ndarray:
    case = scored.case
    return case.map(scored.made.explain(case.clip, recogniser=randomised(case.recogniser, parts, case.seed)))


@oracle("parameter-randomisation", "scipy spearmanr", 1e-9, "Quantus re-initialises weights where we permute them")
def _(scored: Scored) -> Pairs:
    own = scored.case.map(scored.made.attribution)
    found = [spearmanr(own, with_random_parts(scored, tuple(range(k + 1))), axis=None)[0] for k in range(PARTS)]
    yield scored("parameter-randomisation", scored.made), float(np.mean(found))


@oracle("independent-randomisation", "scipy spearmanr", 1e-9, "as parameter-randomisation")
def _(scored: Scored) -> Pairs:
    own = scored.case.map(scored.made.attribution)
    found = [spearmanr(own, with_random_parts(scored, (k,)), axis=None)[0] for k in range(PARTS)]
    yield scored("independent-randomisation", scored.made), float(np.mean(found))


@oracle("efficient-randomisation", "Quantus discrete_entropy", 1e-9, "as parameter-randomisation")
def _(scored: Scored) -> Pairs:
    from quantus.functions.complexity_func import discrete_entropy

    maps = scored.case.map(scored.made.attribution), with_random_parts(scored, tuple(range(PARTS)))
    own, random = (discrete_entropy(a=m, x=m, num_bins=100) for m in maps)
    yield scored("efficient-randomisation", scored.made), (random - own) / own


@oracle("random-logit", "scipy spearmanr", 1e-9, "Quantus draws the other class")
def _(scored: Scored) -> Pairs:
    case = scored.case
    with torch.no_grad():
        logits = case.recogniser.network(case.recogniser.features(case.clip.samples))[0].numpy()
    logits[case.target_index] = -np.inf
    other = case.map(scored.made.explain(case.clip, target=case.recogniser.classes[int(logits.argmax())]))
    yield scored("random-logit", scored.made), spearmanr(case.map(scored.made.attribution), other, axis=None)[0]


@oracle("input-independence", "scipy spearmanr", 1e-9)
def _(scored: Scored) -> Pairs:
    maps = [scored.case.map(a) for a in (scored.made.attribution, scored.made.other)]
    yield scored("input-independence", scored.made), spearmanr(*maps, axis=None)[0]


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settings(cnn, planted_clip, explained_as_in_a_run) -> list[Scored]:
    """One clip under two fills, each with maps of its own; the recogniser is undecided on it, and reacts."""
    lively = deepcopy(cnn)
    *_, head = (m for m in lively.network.modules() if isinstance(m, torch.nn.Linear))
    with torch.no_grad():
        head.weight *= LIVELY
        head.bias -= lively.network(lively.features(planted_clip.samples))[0]
    found = []
    for target, fill in (("anger", "twin"), ("sadness", "noise")):
        case = Case(lively, planted_clip, target, fill, seed=("oracle", fill))
        values = rng("drawn", fill).standard_normal(case.grid.shape)
        drawn = Explained(Attribution(values, case.grid, target, "drawn"))
        found.append(Scored(case, drawn, explained_as_in_a_run(case, "saliency")))
    return found


@pytest.mark.parametrize("name", METRICS.names())
def test_agrees_with_an_oracle_or_says_why_there_is_none(name, settings, record_property):
    assert (name in ORACLES) != (name in REASONS), f"{name}: give it an oracle, or a reason why there is none"
    if name in REASONS:
        record_property("oracle", json.dumps([name, "–", "", "", REASONS[name]]))
    for oracle in ORACLES.get(name, ()):
        pairs = np.array([pair for scored in settings for pair in oracle.compare(scored)], dtype=float)
        assert len(pairs) >= 2 and np.isfinite(pairs).all(), oracle.name
        worst = np.abs(pairs[:, 0] - pairs[:, 1]).max()
        told = [name, oracle.name, f"{worst:.0e}" if worst else "0", str(len(pairs)), oracle.difference]
        record_property("oracle", json.dumps(told))
        assert worst <= oracle.tolerance, (oracle.name, pairs)


def test_oracles_are_of_metrics_there_are():
    assert set(ORACLES) | set(REASONS) == set(METRICS.names())
