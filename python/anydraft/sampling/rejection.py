"""Verdicts on drafted tokens, as pure tensor code that never waits for the device.

One idea serves every drafting strategy. A block of candidates is spelled as a *chain* of symbols
``s_1..s_n``. Each symbol has a target law ``P_i``, given the symbols before it, and was proposed with a law
``Q_i`` known exactly. Then

- *token rule* (Leviathan et al. 2023; Chen et al. 2023): keep symbol after symbol while a coin of probability
  ``min(1, P_i(s_i) / Q_i(s_i))`` shows heads;
- *block rule* (Sun et al. 2024, arXiv 2403.10444): keep the longest prefix whose own coin shows heads. Never
  shorter than the token rule on average, with the same law;

and the token after what was kept is drawn from the residual: recovered after a rejection, a bonus from the
target's own law when all was kept. Both rules emit exactly the target's law, whatever the proposals are.

``Q_i`` may have any mass outside the target's vocabulary: a proposal without image is the symbol
:data:`NO_TOKEN`, which is a rejection. It must be the law the proposal was drawn from, given all that was
revealed before, and nothing that was not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor

from anydraft.sampling.laws import Randomness

Rule = Literal["token", "block"]

NO_TOKEN = -1
"""In tables and symbols: there is no such target token."""


class Chain(Protocol):
    """Candidates spelled as ``n`` symbols with known target and proposal laws."""

    @property
    def finished(self) -> Tensor:
        """int64 ``[n + 1]``: number of candidates that are complete when the first ``i`` symbols are kept."""

    def ratios(self) -> Tensor:
        """``[n]``: ``P_i(s_i) / Q_i(s_i)``; 0 where the symbol is missing or impossible for the target."""

    def overlaps(self, scale: Tensor) -> Tensor:
        """``[n]`` to ``[n]``: the sum over all symbols ``s`` of ``min(scale_i * P_i(s), Q_i(s))``."""

    def recover(self, kept: Tensor, scale: Tensor) -> Tensor:
        """Law ``[V]`` of the token after ``kept`` symbols (0-d int64, up to ``n``).

        The rest of the candidate's spelling is drawn from ``(scale * P - Q)`` floored at 0 for the next
        symbol and from the target for the symbols after it. ``kept == n`` gives the target's law.
        """


def verify(chain: Chain, rule: Rule, randomness: Randomness) -> Tensor:
    """Keep a prefix of the chain and draw the token after it.

    Result: int64 ``[2]`` on the device of the laws: number of accepted candidates, next target id.
    """
    alike = len(chain.finished) <= 2  # of one symbol both rules say the same
    kept, scale = (_keep_each if rule == "token" or alike else _keep_block)(chain, randomness)
    following = randomness.draw(chain.recover(kept, scale))
    return torch.stack((pick(chain.finished, kept), following))


def verify_greedy(best: Tensor, candidates: Tensor) -> Tensor:
    """Keep candidates as long as each is the target's likeliest token: what any rule does at temperature 0.

    Shapes: ``best`` int64 ``[k + 1]``, at every candidate and after the last; ``candidates`` int64 ``[k]``.
    Result: see :func:`verify`.
    """
    kept = (candidates == best[:-1]).long().cumprod(0).sum()
    return torch.stack((kept, pick(best, kept)))


def verify_tokens(
    laws: Tensor, proposals: Tensor | None, candidates: Tensor, randomness: Randomness
) -> Tensor:
    """Verify candidates one by one against dense proposal laws.

    Shapes: ``laws`` ``[k + 1, V]``, the target's law at every candidate and after the last; ``proposals``
    ``[k, V]``, rows of sum at most 1, or ``None`` if each candidate was proposed with certainty;
    ``candidates`` int64 ``[k]``, :data:`NO_TOKEN` where nothing was proposed. Result: see :func:`verify`.
    """
    return verify(dense_chain(laws, proposals, candidates), "token", randomness)


def dense_chain(laws: Tensor, proposals: Tensor | None, candidates: Tensor) -> TokenChain:
    """The chain of candidates proposed from dense rows ``[k, V]``, or with certainty (``None``)."""
    if proposals is None:
        certain, labels = torch.ones_like(laws[:-1, :1]), candidates.unsqueeze(-1)
        return TokenChain(laws, candidates, certain, labels.where(labels >= 0, laws.shape[-1]))
    return TokenChain(laws, candidates, proposals, torch.arange(laws.shape[-1], device=laws.device))


@dataclass(frozen=True)
class TokenChain:
    """A chain whose symbols are the candidates, proposed by pushing weights through labels.

    ``Q_i(t)`` is the sum of ``weights[i, j]`` over all ``j`` with ``labels[i, j] == t``.
    """

    laws: Tensor
    """``[k + 1, V]``: the target's law at every candidate and after the last."""
    symbols: Tensor
    """int64 ``[n]``: the k candidates; then, if the block ends without an image, one :data:`NO_TOKEN`."""
    weights: Tensor
    """``[n, m]``: mass of each of ``m`` outcomes of the draft, rows of sum at most 1."""
    labels: Tensor
    """int64 ``[n, m]`` or ``[m]``, 0 to V: the target id each outcome stands for; V is none of them."""

    @cached_property
    def finished(self) -> Tensor:
        """int64 ``[n + 1]``; see :class:`Chain`."""
        steps = torch.arange(len(self.symbols) + 1, device=self.laws.device)
        return steps.clamp(max=len(self.laws) - 1)

    def ratios(self) -> Tensor:
        """``[n]``; see :class:`Chain`."""
        target = self._target().gather(-1, self.symbols.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return likelihood_ratios(
            self.symbols, target, mass_at(self.symbols.unsqueeze(-1), self.weights, self.labels)
        )

    def overlaps(self, scale: Tensor) -> Tensor:
        """``[n]``; see :class:`Chain`."""
        if self.laws.device.type == "cpu":  # where two-dimensional sums by label take three times as long
            labels = self.labels.expand_as(self.weights)
            rows = zip(scale, self._target(), self.weights, labels, strict=True)
            return torch.stack([_overlap(*row) for row in rows])
        return _overlap(scale[:, None], self._target(), self.weights, self.labels)

    def recover(self, kept: Tensor, scale: Tensor) -> Tensor:
        """``[V]``; see :class:`Chain`."""
        law = pick(self.laws, pick(self.finished, kept))
        steps = len(self.symbols)
        if steps == 0:
            return law
        step = kept.clamp(max=steps - 1)
        labels = self.labels if self.labels.dim() == 1 else pick(self.labels, step)
        weights = pick(self.weights, step) * (kept < steps)
        if len(labels) > 1:
            return residual_law(scale * law - push(weights, labels, len(law)), law)
        left = (scale * law).scatter_add_(0, labels.clamp(max=len(law) - 1), -weights * (labels < len(law)))
        return residual_law(left, law)

    def _target(self) -> Tensor:
        return self.laws[: len(self.symbols)]


def pick(rows: Tensor, index: Tensor) -> Tensor:
    """``rows[index]`` for a 0-d index. Written with brackets, torch would wait for the index."""
    return rows.index_select(0, index.view(1)).squeeze(0)


def push(weights: Tensor, labels: Tensor, width: int) -> Tensor:
    """Sum weights ``[m]`` by label ``[m]`` into ``[width]``; the label ``width`` is dropped."""
    return weights.new_zeros(width + 1).scatter_add_(0, labels, weights)[:width]


def mass_at(symbol: Tensor | int, weights: Tensor, labels: Tensor) -> Tensor:
    """The sum of ``weights`` ``[..., m]`` over the labels equal to ``symbol`` ``[..., 1]``: ``[...]``."""
    return (weights * (labels == symbol)).sum(-1)


def _overlap(scale: Tensor, target: Tensor, weights: Tensor, labels: Tensor) -> Tensor:
    """:func:`overlap` with ``scale`` times the law ``target`` ``[..., V]``."""
    width = target.shape[-1]
    known = labels.clamp(max=width - 1)
    wanted = target.index_select(-1, known) if known.dim() == 1 else target.gather(-1, known)
    return overlap(weights, labels, scale * wanted, width)


def overlap(weights: Tensor, labels: Tensor, wanted: Tensor, width: int) -> Tensor:
    """The sum over all symbols of the smaller of two laws: ``weights`` pushed by ``labels``, and ``wanted``.

    Shapes: ``weights`` ``[..., m]``; ``labels`` int64 ``[m]`` or ``[..., m]``; ``wanted`` ``[..., m]``, the
    other law at the labels; result ``[...]``. Each outcome adds its share of its symbol's minimum, so that
    the work grows with the outcomes, not with the vocabulary.
    """
    sums = weights.new_zeros((*weights.shape[:-1], width + 1))
    sums.scatter_add_(-1, labels.expand_as(weights), weights).narrow(-1, width, 1).fill_(torch.inf)
    at = sums.index_select(-1, labels) if labels.dim() == 1 else sums.gather(-1, labels)
    share = weights / at.clamp(min=torch.finfo(weights.dtype).tiny)
    return torch.minimum(weights, share * wanted).sum(-1)


def likelihood_ratios(symbols: Tensor, target: Tensor, proposal: Tensor) -> Tensor:
    """``target / proposal``, each ``[n]``; 0 where the symbol is missing or the target rules it out."""
    return (target / proposal).masked_fill_((symbols < 0) | (target <= 0), 0.0)


def residual_law(difference: Tensor, fallback: Tensor) -> Tensor:
    """``difference`` ``[V]`` floored at 0 and normalised; ``fallback`` if that is nothing but rounding.

    A residual without mass means that target and proposal agree, and then a rejection was a rounding error.
    """
    residual = difference.clamp(min=0)
    total = residual.sum()
    return torch.where(total > 8 * torch.finfo(residual.dtype).eps, residual / total, fallback)


def _known(numbers: Tensor) -> Tensor:
    """0 for NaN: a law that is not numbers ends what can be kept.

    It may lie behind a rejected candidate, where plain decoding would not have asked for it. Whether it
    was reached is for the caller to see.
    """
    return numbers.nan_to_num(0.0)


def _keep_each(chain: Chain, randomness: Randomness) -> tuple[Tensor, Tensor]:
    ratios = _known(chain.ratios())
    heads = randomness.coins(ratios.clamp(max=1))
    return heads.long().cumprod(0).sum(), ratios.new_ones(())


def _keep_block(chain: Chain, randomness: Randomness) -> tuple[Tensor, Tensor]:
    ratios = _known(chain.ratios())
    reach = [
        ratios.new_ones(())
    ]  # reach[i]: probability that at least i symbols are kept, given those symbols
    for ratio in ratios:
        reach.append((reach[-1] * ratio).clamp(max=1))
    scale = torch.stack(reach)
    if len(ratios) == 0:
        return torch.zeros((), dtype=torch.int64, device=scale.device), scale[0]
    before = scale[:-1]
    missed = (before - _known(chain.overlaps(before))).clamp(min=0)
    hold = torch.where(missed > 0, missed / (missed + (1 - before)), (before == 1).to(missed))
    heads = randomness.coins(torch.cat((hold[1:], scale[-1:])))
    kept = (heads.long() * torch.arange(1, len(reach), device=heads.device)).amax()
    return kept, pick(scale, kept)
