"""Attention-aware relevance propagation (AttnLRP) in one backward pass; rules and books in `relevance_rules`.

Conventions
-----------
* The propagated quantity is the target's raw score, before scores are normalised over classes: the logit, or the
  one-vs-rest log-odds of a linear head on a backbone; for a contrast the difference of two.
* Biases and position embeddings keep their relevance. The books are balanced instead: input, biases, positions and what
  the softmax rule takes add up to the response within `TOLERANCE`, or the recogniser is not explained.
* Feature maps are measured from silence, as in ``input-x-gradient``; the relevance of silence itself is among the
  biases.
"""

from __future__ import annotations

import torch

from ..errors import NotApplicable
from ..models.recogniser import Recogniser
from .attention import check_attention, frozen, network_of, no_attention
from .attribution import Attribution
from .explainer import Explainer, Request
from .gradient import attribution
from .inspection import View, differentiable, view_of
from .relevance_rules import RelevanceRules

TOLERANCE = 1e-3  # of the largest entry of the books, the response among them
SMALL = 1e-6  # responses below are no divisor


class AttnLrp(Explainer):
    """AttnLRP: relevance through attention weights and values (Achtibat et al. 2024, arXiv 2402.05602)."""

    name = "attn-lrp"
    softmax = "propagated"

    def attribute(self, request: Request) -> Attribution:
        """Explain one clip.

        Returns
        -------
        Attribution
            On the grid of the feature map, or of the short-time Fourier transform. ``details``: ``start``, the
            response; ``conserved``, the share of it in the map; ``bias_share``, ``position_share`` and
            ``softmax_share``, the shares of the books' other entries; ``unbalanced``, what is missing to 1. Shares may
            be negative or exceed 1.

        Raises
        ------
        NotApplicable
            If the recogniser is not differentiable or has no attention, or the books do not balance because a function
            of its network has no rule.
        ClipError
            If the clip is too short or the relevance not finite.
        """
        recogniser = differentiable(request.recogniser, self.name)
        request.response(torch.zeros(1, len(recogniser.classes)))  # raises for an unknown class
        check_attention(recogniser, self.name)
        with recogniser.metered():
            view = view_of(request, self.name)
            relevance, details = self.propagate(view)
        return attribution(self.name, relevance.sum(dim=1), view, details)

    def propagate(self, view: View) -> tuple[torch.Tensor, dict[str, float]]:
        """Relevance of each value of the view, in its shape, and the balance for ``details``."""
        recogniser, values = view.recogniser, view.values.detach().requires_grad_()
        rules = RelevanceRules(self.softmax)
        with torch.enable_grad(), frozen(network_of(recogniser)):
            inputs = view.inputs(values)
            with rules:
                scores = recogniser.raw_scores(inputs)
            response = view.request.response(scores).sum()
            if not rules.n_attentions:
                raise no_attention(recogniser, self.name)
            gradient = torch.autograd.grad(response, values)[0]
        relevance = (values.detach() - view.silence) * gradient
        books = rules.books.totals()
        books["biases"] += view.silence * float(gradient.sum(dtype=torch.float64))
        return relevance, self.balance(relevance, float(response.detach()), books, rules.unknown, recogniser)

    def balance(
        self, relevance: torch.Tensor, start: float, books: dict[str, float], unknown: set[str], recogniser: Recogniser
    ) -> dict[str, float]:
        """Compare the books with the response.

        Raises
        ------
        NotApplicable
            If they differ by more than `TOLERANCE`.
        """
        total = float(relevance.sum(dtype=torch.float64))
        entries = {"conserved": total, "bias_share": books["biases"], "position_share": books["positions"]}
        entries["softmax_share"] = books["softmax"]
        missing = start - sum(entries.values())
        if abs(missing) > TOLERANCE * max(abs(start), *map(abs, entries.values())):
            names = f" ({', '.join(sorted(unknown))})" if unknown else ""
            raise NotApplicable(
                f"{self.name} has no rule for a step of recogniser {recogniser.name!r}{names}: relevance of "
                f"{missing:.2g} out of {start:.2g} is missing in the books"
            )
        divisor = start if abs(start) > SMALL else SMALL
        shares = {name: amount / divisor for name, amount in entries.items()}
        return {"start": start} | shares | {"unbalanced": missing / divisor}

    def calls(self, n_samples: int, recogniser: Recogniser) -> int:
        """See `Explainer.calls`: one forward pass; the backward pass is not counted."""
        check_attention(differentiable(recogniser, self.name), self.name)
        return 1


class AttnLrpValues(AttnLrp):
    """AttnLRP with the weights of attention held constant: relevance flows through the values alone.

    The rule of Ali et al. 2022, ICML, arXiv 2202.07304, section 4. Nothing is lost at the softmax.
    """

    name = "attn-lrp-values"
    softmax = "constant"
