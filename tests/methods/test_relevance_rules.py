"""Rules of attention-aware relevance propagation, each alone and in small transformers, against oracles."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from serxai.audio import Grid
from serxai.datasets.clip import Clip
from serxai.errors import NotApplicable
from serxai.methods.attention import frozen
from serxai.methods.explainer import Request
from serxai.methods.records import make_method
from serxai.methods.relevance_rules import RelevanceRules
from serxai.models.recogniser import TorchRecogniser


def balance(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, softmax: str = "propagated"):
    """Relevance of x, the rules with their books, and the output summed up, for a network that is a function."""
    x = x.clone().requires_grad_()
    rules = RelevanceRules(softmax)
    with rules:
        out = function(x)
    relevance = (x * torch.autograd.grad(out.sum(), x)[0]).detach()
    return relevance, rules, float(out.detach().sum())


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


W, B, POSITIONS, KERNEL = draw(5, 4, seed=1), draw(5, seed=2), draw(6, 4, seed=3), draw(3, 6, 2, seed=4)
STEPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda x: functional.linear(x, W, B),
    "matrix product": lambda x: x @ W.T + B,
    "addmm": lambda x: torch.addmm(B, x[0], W.T),
    "convolution": lambda x: functional.conv1d(x, KERNEL, B[:3], stride=2, padding=1),
    "layer norm": lambda x: functional.layer_norm(x, (4,), W[0], B[:4]),
    "group norm": lambda x: functional.group_norm(x, 3, POSITIONS[:, 0], POSITIONS[:, 1]),
    "batch norm": lambda x: functional.batch_norm(x, POSITIONS[:, 0], POSITIONS[:, 1] ** 2 + 1, POSITIONS[:, 2]),
    "positions": lambda x: x + POSITIONS,
    "constants": lambda x: 3 - (2 * x - 1) / 4 + x.sub(B[:4]),
    "in place": lambda x: (x * 1).add_(B[:4]).mul_(2),
    "gelu": functional.gelu,
    "relu in place": lambda x: functional.relu(x * 1, inplace=True),
    "silu, tanh": lambda x: functional.silu(x) + torch.tanh(x),
    "product": lambda x: x * x.flip(-1) * x.roll(1, -1),
    "square": lambda x: x**2 + x.square(),
    "bilinear": lambda x: x @ x.transpose(-1, -2),
    "einsum": lambda x: torch.einsum("ntd,nsd->nts", x, x * 2),
    "standard deviation": lambda x: torch.cat([(x - x.mean(1, keepdim=True)).square().mean(1).sqrt(), x.std(1)], 1),
    "variance": lambda x: x.var(1),
    "standardisation": lambda x: (x - x.mean()) / ((x - x.mean()).square().mean() + 1e-3).sqrt(),
    "root mean square norm": lambda x: x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt() * W[0],
    "gates": lambda x: functional.glu(x, -1) + torch.sigmoid(x[..., :2]) * x[..., 2:],
    "class token": lambda x: torch.cat([B[None, None, :4], x], dim=1) * 2,
    "stacked": lambda x: torch.stack([B[:4].expand(6, 4), x[0]]),
    "chosen": lambda x: torch.where(x > 0, x, B[:4]) + x.where(x > 1, POSITIONS) + x.masked_fill(x > 1, 0.7),
    "clamped": lambda x: x.clamp(-0.5, 0.8) + x.clamp_min(0.1) + torch.maximum(x, B[:4]) + torch.minimum(B[:4], x),
    "clip's maximum": lambda x: torch.maximum(x, x.amax(dim=(1, 2), keepdim=True) - 1),
    "padded": lambda x: functional.pad(x, (0, 0, 0, 3), value=-0.4),
    "pooled": lambda x: functional.max_pool1d(x, 2) + functional.avg_pool1d(x, 2),
    "logarithm": lambda x: (x.square() + 0.1).log10(),
    "softmax": lambda x: x.softmax(-1) * W[0] + x,
    "attention": lambda x: functional.scaled_dot_product_attention(x, x * 2, x + 1),
    "masked attention": lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True),
}  # fmt: skip


@pytest.mark.parametrize("softmax", ["propagated", "constant"])
@pytest.mark.parametrize("step", STEPS)
def test_books_balance_for_each_step(step, softmax):
    """The relevance of the input and what the books hold are the output."""
    x = draw(1, 6, 4)
    weights = draw(*STEPS[step](x).shape, seed=99)
    relevance, rules, out = balance(lambda v: STEPS[step](v) * weights, x, softmax)
    totals = rules.books.totals()
    assert not rules.unknown
    assert float(relevance.sum()) + sum(totals.values()) == pytest.approx(out, rel=1e-9, abs=1e-9)
    assert torch.isfinite(relevance).all()
    assert relevance.abs().max() > 1e-3


def test_rules_keep_values():
    for step, function in STEPS.items():
        x = draw(1, 6, 4)
        with RelevanceRules():
            ruled = function(x.clone().requires_grad_())
        assert torch.allclose(ruled, function(x), rtol=1e-12, atol=1e-12), step


def test_constants_are_booked_by_kind():
    x = draw(1, 6, 4)
    entries = {
        "linear": {"biases"}, "positions": {"positions"}, "constants": {"biases"}, "class token": {"biases"},
        "bilinear": set(), "gelu": set(), "attention": {"biases", "softmax"}, "layer norm": {"biases"},
    }  # fmt: skip
    for step, names in entries.items():
        totals = balance(STEPS[step], x)[1].books.totals()
        assert {name for name, total in totals.items() if abs(total) > 1e-9} == names, step
    assert balance(STEPS["positions"], x)[1].books.totals()["positions"] == pytest.approx(float(POSITIONS.sum()))


def test_linear_network_gets_weight_times_input():
    x, weights = draw(1, 6, 4), draw(6, 4, seed=9)
    relevance, rules, _ = balance(lambda v: (3 * v.transpose(1, 2).flatten(1)) @ weights.T.flatten() - 2, x)
    assert torch.allclose(relevance, 3 * weights * x)
    assert rules.books.totals() == {"biases": -2, "positions": 0, "softmax": 0}


def test_rules_of_single_steps_by_formula():
    x = draw(1, 6, 4)
    identity, _, _ = balance(lambda v: functional.gelu(v), x)
    assert torch.allclose(identity, functional.gelu(x))
    half, _, _ = balance(lambda v: v[0] @ v[0].T, x)
    product = x[0, :, None] * x[0, None]  # (token, token, dim): each term goes half to either token
    assert torch.allclose(half[0], 0.5 * (product.sum(0) + product.sum(1)))
    weight = draw(6, 4, seed=5)
    s = x[0].softmax(-1)
    taylor, _, _ = balance(lambda v: v[0].softmax(-1) * weight, x)
    relevance = weight * s
    assert torch.allclose(taylor[0], x[0] * (relevance - s * relevance.sum(-1, keepdim=True)))
    norm, _, _ = balance(lambda v: functional.layer_norm(v, (4,), weight[0], None, 0.0)[..., 1], x)
    spread = x[0].std(-1, unbiased=False)
    assert torch.allclose(norm[0, :, 1], x[0, :, 1] * 0.75 * weight[0, 1] / spread)
    assert torch.allclose(norm[0, :, 2], -x[0, :, 2] * 0.25 * weight[0, 1] / spread)


def test_unknown_steps_are_remembered():
    _, rules, _ = balance(lambda v: v.exp().cos(), draw(1, 6, 4))
    assert rules.unknown == {"exp", "cos"}


def test_parameters_that_require_gradients_are_constants_for_the_pass():
    network = nn.Linear(4, 3).double()
    network.weight.requires_grad_(True)
    network.bias.requires_grad_(False)
    x = draw(1, 6, 4)
    with frozen(network):
        relevance, rules, out = balance(network, x)
    assert float(relevance.sum()) + rules.books.totals()["biases"] == pytest.approx(out)
    assert network.weight.requires_grad and not network.bias.requires_grad and network.weight.grad is None


# -- small transformers ------------------------------------------------------------------------------------------------


class Given(nn.Module):
    """Front end that returns given features, (1, 1, rows, columns), whatever the clip."""

    min_samples = 1

    def __init__(self, features: torch.Tensor, floor: float = 0.0) -> None:
        super().__init__()
        self.features, self.floor = features, floor

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self.features.repeat(len(waveforms), 1, 1, 1)

    def grid(self, n_samples: int) -> Grid:
        rows, columns = self.features.shape[2:]
        return Grid(np.linspace(0, 8000, rows + 1), np.arange(columns + 1) / 10)


def explained(name: str, network: nn.Module, features: torch.Tensor, floor: float = 0.0, target: str = "yes"):
    recogniser = TorchRecogniser("own", ("yes", "no"), Given(features, floor), network.double(), "0")
    return make_method(name).attribute(Request(recogniser, Clip("c", np.zeros(800, np.float32)), target, ("s",)))


class TwoTokens(nn.Module):
    """Two tokens of one number each, one head, no bias: logit = mean over queries of softmax(a b x_q x_k) c x_k."""

    def __init__(self, a: float, b: float, c: float) -> None:
        super().__init__()
        self.abc = (a, b, c)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x = features[:, 0].transpose(1, 2)
        query, key, value = (factor * x for factor in self.abc)
        y = functional.scaled_dot_product_attention(query, key, value).mean(dim=1)
        return torch.cat([y, torch.zeros_like(y)], dim=1)


def test_two_tokens_in_closed_form():
    a, b, c, x1, x2 = 1.3, 0.7, -2.0, 0.9, -1.6
    x = [x1, x2]
    z = [[a * b * q * k for k in x] for q in x]
    s = [[math.exp(v) / sum(map(math.exp, row)) for v in row] for row in z]
    found = {name: explained(name, TwoTokens(a, b, c), torch.tensor([[[x]]], dtype=torch.float64)) for name in (
        "attn-lrp", "attn-lrp-values")}  # fmt: skip
    by_value = [c * x[k] * (s[0][k] + s[1][k]) / 2 for k in (0, 1)]
    np.testing.assert_allclose(found["attn-lrp-values"].values[0], by_value, rtol=1e-6)
    expected, taken = [value / 2 for value in by_value], 0.0
    for q in (0, 1):
        of_weight = [0.5 * 0.5 * s[q][k] * c * x[k] for k in (0, 1)]  # half of the product, half of the mean
        for k in (0, 1):
            of_score = z[q][k] * (of_weight[k] - s[q][k] * sum(of_weight))
            expected[q] += of_score / 2
            expected[k] += of_score / 2
            taken += of_weight[k] - of_score
    np.testing.assert_allclose(found["attn-lrp"].values[0], expected, rtol=1e-6)
    details = found["attn-lrp"].details
    assert details["softmax_share"] == pytest.approx(taken / sum(by_value))
    assert details["start"] == pytest.approx(sum(by_value)) and details["position_share"] == details["bias_share"] == 0


class Small(nn.Module):
    """Transformer of two layers with norms before, positions, GELU, mean over tokens; a token is a column of the map.

    Attention by torch's fused function, by products and softmax written out, or by torch's multi-head function.
    """

    heads = 2

    def __init__(self, rows: int = 3, width: int = 4, kind: str = "fused", tokens: int = 3, seed: int = 0) -> None:
        super().__init__()
        self.kind = kind
        self.embed, self.head = nn.Linear(rows, width), nn.Linear(width, 2)
        self.positions = nn.Parameter(torch.zeros(tokens, width))
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {name: nn.Linear(width, width) for name in ("query", "key", "value", "out")}
                | {"up": nn.Linear(width, 6), "down": nn.Linear(6, width)}
                | {"first": nn.LayerNorm(width), "second": nn.LayerNorm(width)}
            )
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.8

    def attention(self, layer: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
        if self.kind == "multi-head":
            parts = [layer[name] for name in ("query", "key", "value")]
            x = x.transpose(0, 1)
            return functional.multi_head_attention_forward(
                x, x, x, x.shape[-1], self.heads, torch.cat([p.weight for p in parts]),
                torch.cat([p.bias for p in parts]), None, None, False, 0.0, layer["out"].weight, layer["out"].bias,
                training=False,
            )[0].transpose(0, 1)  # fmt: skip
        query, key, value = (
            layer[name](x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for name in ("query", "key", "value")
        )
        if self.kind == "fused":
            found = functional.scaled_dot_product_attention(query, key, value)
        else:
            scores = torch.matmul(query, key.transpose(2, 3)) * query.shape[-1] ** -0.5
            found = torch.matmul(nn.functional.softmax(scores, dim=-1), value)
        return layer["out"](found.transpose(1, 2).flatten(2))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.embed(features[:, 0].transpose(1, 2)) + self.positions[: features.shape[3]]
        for layer in self.layers:
            hidden = hidden + self.attention(layer, layer["first"](hidden))
            hidden = hidden + layer["down"](functional.gelu(layer["up"](layer["second"](hidden))))
        return self.head(self.norm(hidden).mean(dim=1))


class Twin:
    """The same transformer and its relevance in loops over tokens, heads and units, rule by rule, without gradients."""

    def __init__(self, network: Small, softmax: str) -> None:
        self.p = {name: value.detach().numpy() for name, value in network.named_parameters()}
        self.heads, self.softmax = network.heads, softmax
        self.books = {"biases": 0.0, "positions": 0.0, "softmax": 0.0}

    def linear(self, name, x):
        w, b = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        return [[sum(w[j][i] * row[i] for i in range(len(row))) + b[j] for j in range(len(b))] for row in x]

    def linear_back(self, name, x, relevance):
        w, b = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        y, back = self.linear(name, x), [[0.0] * len(row) for row in x]
        for t in range(len(x)):
            for j in range(len(b)):
                for i in range(len(x[t])):
                    back[t][i] += w[j][i] * x[t][i] / y[t][j] * relevance[t][j]
                self.books["biases"] += b[j] / y[t][j] * relevance[t][j]
        return back

    def norm(self, name, x):
        w, b = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        out = []
        for row in x:
            mean = sum(row) / len(row)
            spread = math.sqrt(sum((v - mean) ** 2 for v in row) / len(row) + 1e-5)
            out.append([(v - mean) / spread * w[j] + b[j] for j, v in enumerate(row)])
        return out

    def norm_back(self, name, x, relevance):
        w, b = self.p[f"{name}.weight"], self.p[f"{name}.bias"]
        y, back = self.norm(name, x), [[0.0] * len(row) for row in x]
        for t, row in enumerate(x):
            n, mean = len(row), sum(row) / len(row)
            spread = math.sqrt(sum((v - mean) ** 2 for v in row) / n + 1e-5)
            for j in range(n):
                for i in range(n):
                    back[t][i] += row[i] * ((i == j) - 1 / n) * w[j] / spread / y[t][j] * relevance[t][j]
                self.books["biases"] += b[j] / y[t][j] * relevance[t][j]
        return back

    def attend(self, q, k, v):
        """Per head: scores, weights; and the output."""
        n, size = len(q), len(q[0]) // self.heads
        out, kept = [[0.0] * len(q[0]) for _ in range(n)], []
        for h in range(self.heads):
            units = range(h * size, (h + 1) * size)
            z = [[sum(q[a][u] * k[b][u] for u in units) / math.sqrt(size) for b in range(n)] for a in range(n)]
            s = [[math.exp(value) / sum(map(math.exp, row)) for value in row] for row in z]
            for a in range(n):
                for u in units:
                    out[a][u] = sum(s[a][b] * v[b][u] for b in range(n))
            kept.append((units, z, s))
        return out, kept

    def attend_back(self, q, k, v, out, kept, relevance):
        n, size = len(q), len(q[0]) // self.heads
        rq, rk, rv = ([[0.0] * len(q[0]) for _ in range(n)] for _ in range(3))
        share = 0.5 if self.softmax == "propagated" else 1.0
        for units, z, s in kept:
            for a in range(n):
                rs = [0.0] * n
                for b in range(n):
                    for u in units:
                        message = s[a][b] * v[b][u] / out[a][u] * relevance[a][u]
                        rv[b][u] += share * message
                        rs[b] += (1 - share) * message
                for b in range(n):
                    rz = z[a][b] * (rs[b] - s[a][b] * sum(rs))
                    self.books["softmax"] += rs[b] - rz
                    for u in units:
                        part = q[a][u] * k[b][u] / math.sqrt(size) / z[a][b] * rz
                        rq[a][u] += part / 2
                        rk[b][u] += part / 2
        return rq, rk, rv

    @staticmethod
    def split(one, other, relevance):
        """Relevance of the first summand; the rest is the second's."""
        parts = [
            [r * a / (a + b) for r, a, b in zip(*rows, strict=True)] for rows in zip(relevance, one, other, strict=True)
        ]
        return parts, [[r - p for r, p in zip(*rows, strict=True)] for rows in zip(relevance, parts, strict=True)]

    @staticmethod
    def plus(one, *others):
        return [[sum(values) for values in zip(*rows, strict=True)] for rows in zip(one, *others, strict=True)]

    def relevance(self, x, target):
        """Relevance of inputs x, tokens x rows, and the logit."""
        embedded = self.linear("embed", x)
        positions = self.p["positions"][: len(x)].tolist()
        hidden, tape = self.plus(embedded, positions), []
        for number in (0, 1):
            name = f"layers.{number}."
            normed = self.norm(name + "first", hidden)
            q, k, v = (self.linear(name + part, normed) for part in ("query", "key", "value"))
            found, kept = self.attend(q, k, v)
            branch = self.linear(name + "out", found)
            middle = self.plus(hidden, branch)
            second = self.norm(name + "second", middle)
            up = self.linear(name + "up", second)
            active = [[u * 0.5 * (1 + math.erf(u / math.sqrt(2))) for u in row] for row in up]
            down = self.linear(name + "down", active)
            tape.append((hidden, normed, q, k, v, found, kept, branch, middle, second, active, down))
            hidden = self.plus(middle, down)
        last = self.norm("norm", hidden)
        mean = [[sum(column) / len(last) for column in zip(*last, strict=True)]]
        logit = self.linear("head", mean)[0][target]
        start = [[logit if j == target else 0.0 for j in (0, 1)]]
        of_mean = self.linear_back("head", mean, start)[0]
        r = [[row[i] / len(last) / mean[0][i] * of_mean[i] for i in range(len(row))] for row in last]
        r = self.norm_back("norm", hidden, r)
        for number in (1, 0):
            name = f"layers.{number}."
            hidden, normed, q, k, v, found, kept, branch, middle, second, active, down = tape[number]
            r, of_branch = self.split(middle, down, r)
            of_up = self.linear_back(name + "down", active, of_branch)
            r = self.plus(r, self.norm_back(name + "second", middle, self.linear_back(name + "up", second, of_up)))
            r, of_branch = self.split(hidden, branch, r)
            of_found = self.linear_back(name + "out", found, of_branch)
            parts = self.attend_back(q, k, v, found, kept, of_found)
            of_normed = [
                self.linear_back(name + part, normed, of_part)
                for part, of_part in zip(("query", "key", "value"), parts, strict=True)
            ]
            r = self.plus(r, self.norm_back(name + "first", hidden, self.plus(*of_normed)))
        r, of_positions = self.split(embedded, positions, r)
        self.books["positions"] += sum(map(sum, of_positions))
        return np.array(self.linear_back("embed", x, r)), logit


@pytest.mark.parametrize("name, softmax", [("attn-lrp", "propagated"), ("attn-lrp-values", "constant")])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_a_twin_written_rule_by_rule(name, softmax, seed):
    network, features = Small(seed=seed), draw(1, 1, 3, 3, seed=seed + 10)
    twin = Twin(network, softmax)
    expected, logit = twin.relevance(features[0, 0].T.tolist(), 0)
    found = explained(name, network, features)
    np.testing.assert_allclose(found.values, expected.T, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert found.details["start"] == pytest.approx(logit)
    for entry, key in (("biases", "bias_share"), ("positions", "position_share"), ("softmax", "softmax_share")):
        assert found.details[key] == pytest.approx(twin.books[entry] / logit, rel=1e-6, abs=1e-9)
    assert abs(found.details["unbalanced"]) < 1e-9


@pytest.mark.parametrize("name", ["attn-lrp", "attn-lrp-values", "attention-rollout", "attention-relevance"])
def test_however_attention_is_computed(name):
    features = draw(1, 1, 3, 7)
    maps = [explained(name, Small(kind=kind, tokens=7), features) for kind in ("fused", "written out", "multi-head")]
    for other in maps[1:]:
        np.testing.assert_allclose(other.values, maps[0].values, rtol=1e-5, atol=1e-9)
        assert other.details == pytest.approx(maps[0].details, rel=1e-6, abs=1e-9)


def test_attention_without_scores_is_gradient_times_input():
    """Queries of zero: uniform weights, and without norm and activation the network is linear in its input."""
    network = Small(tokens=5)
    for layer in network.layers:
        for parameter in (*layer["query"].parameters(), *layer["up"].parameters(), *layer["down"].parameters()):
            nn.init.zeros_(parameter)
        layer["first"] = nn.Identity()
    network.norm = nn.Identity()
    features = draw(1, 1, 3, 5)
    values = explained("attn-lrp-values", network, features).values
    leaf = features.clone().requires_grad_()
    gradient = torch.autograd.grad(network(leaf)[0, 0], leaf)[0]
    np.testing.assert_allclose(values, (features * gradient)[0, 0], rtol=1e-6)


def test_silence_is_what_features_are_measured_from():
    network, features = Small(), draw(1, 1, 3, 3)
    here, there = (explained("attn-lrp", network, features, floor) for floor in (0.0, -1.5))
    gradient = here.values / features[0, 0].numpy()
    np.testing.assert_allclose(there.values, (features[0, 0].numpy() + 1.5) * gradient, rtol=1e-4, atol=1e-7)
    assert abs(there.details["unbalanced"]) < 1e-9
    assert there.details["bias_share"] != pytest.approx(here.details["bias_share"])


class WithExponential(Small):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features).exp()


def test_a_step_without_a_rule_is_refused_by_name():
    with pytest.raises(
        NotApplicable, match=r"no rule for a step of recogniser 'own' \(exp\): relevance of .* is missing"
    ):
        explained("attn-lrp", WithExponential(), draw(1, 1, 3, 3))
