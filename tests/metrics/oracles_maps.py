"""Oracles of the metrics that look at maps, and explain again: see `test_oracles`."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import torch
from scipy.stats import entropy as scipy_entropy
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import auc as sklearn_auc
from sklearn.metrics import jaccard_score, roc_auc_score

from serxai.audio import Grid, Plane, band_edges_hz
from serxai.keys import rng
from serxai.methods.attribution import Attribution
from serxai.metrics.case import Explained
from serxai.metrics.localisation import case_truth_mask
from serxai.metrics.sanity import PARTS, randomised
from serxai.metrics.sensitivity import noisy_copies, representations
from serxai.metrics.trajectory import STEPS
from serxai.metrics.weak_truth import case_marks
from serxai.tests.metrics.oracles import Pairs, Scored, most_first, oracle

# -- localisation, complexity ------------------------------------------------------------------------------------------


def of_maps(name: str, relevance: np.ndarray, mask: np.ndarray | None = None, **more: object) -> float:
    """A metric of Quantus that looks at maps alone."""
    import quantus

    (value,) = getattr(quantus, name)(normalise=False, disable_warnings=True, **more)(
        model=None,
        x_batch=np.zeros((1, 1, *relevance.shape)),
        y_batch=np.zeros(1, int),
        a_batch=relevance[None, None].copy(),
        s_batch=None if mask is None else mask[None, None],
        channel_first=True,
    )
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


@oracle("energy-removed", "scikit-learn auc, cell by cell", 1e-9)
def _(scored: Scored) -> Pairs:
    energy, order = scored.case.plane.energy(scored.case.grid).ravel(), most_first(scored.map)
    counts = [round(i * order.size / STEPS) for i in range(STEPS + 1)]
    gone = [sum(energy[cell] for cell in order[:count]) / energy.sum() for count in counts]
    yield scored("energy-removed"), sklearn_auc(np.array(counts) / order.size, gone)


@oracle("additivity", "scikit-learn LinearRegression, mask by mask", 1e-5)
def _(scored: Scored) -> Pairs:
    """R squared of a regression on the bands: every mask counts alike."""
    case = scored.case
    grid = Grid(band_edges_hz(8), [0, case.clip.duration_s])
    masks = np.array(list(product((0, 1), repeat=8)))[:, ::-1].copy()
    left = scored.left(masks.reshape(-1, 8, 1), grid)
    made = Explained(Attribution(np.ones((8, 1)), grid, case.target, "drawn", table=left))
    yield scored("additivity", made), LinearRegression().fit(masks, left).score(masks, left)


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
            own.ravel(),
            copy.ravel(),
            clip,
            noisy.samples.astype(float),
            norm_numerator=distance_euclidean,
            norm_denominator=distance_euclidean,
        )
        for copy, noisy in zip(copies, noisy_copies(scored.case).clips, strict=True)
    ]
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
