"""Oracles of the metrics that remove or mask: see `test_oracles`."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from scipy.special import softmax
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import auc as sklearn_auc

from serxai.audio import Grid, band_edges_hz
from serxai.keys import rng
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Explained
from serxai.metrics.faithfulness import SHARES
from serxai.metrics.prediction import CORRELATION_SIZE
from serxai.metrics.quantus_adapter import steps_of
from serxai.metrics.records import make_metric
from serxai.metrics.removals import SUBSET_SHARES, random_removals, single_removals
from serxai.metrics.road import NOISE, feature_log_odds
from serxai.metrics.road import SHARES as ROAD_SHARES
from serxai.metrics.trajectory import RANDOM_TRAJECTORIES, STEPS, super_grid
from serxai.tests.metrics.oracles import FLOAT, MaskSpace, Pairs, Scored, most_first, oracle

SHORT_S = 0.32  # Quantus solves ROAD's systems directly


# -- removals along a ranking ------------------------------------------------------------------------------------------


def curve(scored: Scored, order: np.ndarray, grid: Grid | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Area and log-odds without the first 0, 1/16, ... of an order, mask by mask."""
    grid = grid or scored.case.grid
    counts = np.array([round(i * order.size / STEPS) for i in range(STEPS + 1)])
    keep = np.ones((STEPS + 1, order.size))
    for row, count in zip(keep, counts, strict=True):
        row[order[:count]] = 0
    return counts / order.size, scored.left(keep.reshape(-1, *grid.shape), grid)


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


@oracle("faithfulness-correlation", "Quantus FaithfulnessCorrelation", 0.4, "its own 150 sets: 4 standard errors")
def _(scored: Scored) -> Pairs:
    """A map that predicts effects: a constant, another sign or unrelated effects would be far away."""
    case, coarse = scored.case, super_grid(scored.case)
    alone = single_removals(case).effect.reshape(coarse.shape)
    told = Explained(Attribution(alone, coarse, case.target, "effects alone"))
    np.random.seed(0)  # noqa: NPY002  (Quantus draws from the global stream)
    relevance = case.map(told.attribution)
    theirs = scored.quantus(
        "FaithfulnessCorrelation", relevance, case.grid, nr_runs=150, subset_size=relevance.size // 4
    )
    ours = scored("faithfulness-correlation", told)
    assert ours > 0.5
    yield ours, float(theirs)


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
        lambda x: network(x)[:, scored.case.target_index],
        perturb,
        ones,
        torch.tensor(relevance[None, None], dtype=torch.float32),
        n_perturb_samples=len(removed),
        max_examples_per_batch=len(removed),
        normalize=True,
    )
    same = Explained(replace(scored.drawn.attribution, values=relevance))
    yield scored("infidelity", same), float(theirs) / float(np.mean(effect**2))


@oracle("faithfulness-estimate", "Quantus FaithfulnessEstimate", 1e-4)
def _(scored: Scored) -> Pairs:
    grid = super_grid(scored.case)
    relevance = scored.case.map_on(scored.drawn.attribution, grid)
    theirs = scored.quantus("FaithfulnessEstimate", relevance, grid, features_in_step=1)
    yield scored("faithfulness-estimate"), float(theirs)


@oracle("monotonicity-correlation", "scipy spearmanr; effects mask by mask", FLOAT, "Quantus measures uncertainty")
def _(scored: Scored) -> Pairs:
    grid = super_grid(scored.case)
    alone = 1 - np.eye(grid.shape[0] * grid.shape[1]).reshape(-1, *grid.shape)
    effect = scored.case.log_odds[scored.case.target_index] - scored.left(alone, grid)
    ours = single_removals(scored.case).effect  # another batch shape rounds some effects of 1e-6 the other way
    yield float(np.abs(ours - effect).max()), 0.0
    relevance = scored.case.map_on(scored.drawn.attribution, grid).ravel()
    yield scored("monotonicity-correlation"), spearmanr(np.abs(relevance), np.abs(ours).round(6))[0]


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
            model=cnn.network,
            x_batch=features,
            y_batch=np.array([scored.case.target_index]),
            a_batch=relevance,
            channel_first=True,
            softmax=True,
            device="cpu",
            batch_size=1,
        )
        yield scored(f"quantus:{name}"), float(theirs)
