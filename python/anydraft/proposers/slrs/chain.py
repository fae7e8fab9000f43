"""The chain of classes and members: what verification needs to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from anydraft.proposers.slrs.plan import Step
from anydraft.proposers.slrs.spelling import ClassSpelling
from anydraft.sampling.rejection import (
    NO_TOKEN,
    likelihood_ratios,
    mass_at,
    overlap,
    pick,
    push,
    residual_law,
)


@dataclass(frozen=True)
class ClassChain:
    """A chain whose symbols are classes of target tokens, target tokens given their class, or target tokens.

    The target's law of a class is the sum over its members; given the class, its law on the members is
    divided by that sum. See :class:`anydraft.sampling.rejection.Chain` for the methods.
    """

    laws: Tensor
    """``[k + 1, V]``: the target's law at every candidate and after the last."""
    steps: list[Step]
    spelling: ClassSpelling

    @cached_property
    def finished(self) -> Tensor:
        """int64 ``[n + 1]``."""
        return self._numbers[0]

    def ratios(self) -> Tensor:
        """``[n]``."""
        token = self.laws[self._rows, torch.where(self._classwise, 0, self._symbols.clamp(min=0))]
        target = torch.where(self._classwise, self._masses, token * self._given)
        proposal = mass_at(self._symbols[:, None], self._weights, self._labels)
        return likelihood_ratios(self._symbols, target, proposal)

    def overlaps(self, scale: Tensor) -> Tensor:
        """``[n]``."""
        sums: list[Tensor] = []
        classes: dict[int, Tensor] = {}
        for step, factor in zip(self.steps, scale * self._given, strict=True):
            law = self.laws[step.row]
            if step.classwise:
                law = classes.setdefault(step.row, push(law, self.spelling.class_of, self.spelling.size))
            wanted = factor * law.index_select(0, step.labels.clamp(max=len(law) - 1))
            sums.append(overlap(step.weights, step.labels, wanted, len(law)))
        return torch.stack(sums)

    def recover(self, kept: Tensor, scale: Tensor) -> Tensor:
        """``[V]``.

        Every case is the target's law, times a factor per class, minus the proposal law of a token.
        """
        law = pick(self.laws, pick(self.finished, kept))
        count, size, width = len(self.steps), self.spelling.size, len(law)
        pending = kept < count
        step = kept.clamp(max=count - 1)
        classwise = pick(self._classwise, step) & pending
        within = torch.where(pending, pick(self._within, step), NO_TOKEN)
        weights, labels = pick(self._weights, step) * pending, pick(self._labels, step)
        start = width + 1  # classes are numbered behind the tokens, and each row ends in a slot for none
        proposed = push(weights, labels + start * classwise, start + size)
        masses = law.new_zeros(size + 1).scatter_add_(0, self.spelling.class_of, law)
        taken = torch.nn.functional.pad(proposed[start:], (0, 1))
        of_class = torch.where(masses > 0, (scale * masses - taken).clamp(min=0) / masses, 0.0)
        in_class = (torch.arange(size + 1, device=law.device) == within) / pick(masses, within % (size + 1))
        given = torch.where(within < 0, 1.0, in_class)
        factor = torch.where(classwise, of_class, scale * given)
        difference = law * factor.index_select(0, self.spelling.class_of) - proposed[:width]
        return residual_law(difference, law * given.index_select(0, self.spelling.class_of))

    @cached_property
    def _weights(self) -> Tensor:
        """``[n, D]``."""
        return torch.stack([step.weights for step in self.steps])

    @cached_property
    def _labels(self) -> Tensor:
        """int64 ``[n, D]``."""
        return torch.stack([step.labels for step in self.steps])

    @cached_property
    def _numbers(self) -> Tensor:
        """int64 ``[4, n + 1]``, in one copy to the device: of each step its row, symbol, class and kind."""
        steps = [[step.row, step.symbol, step.within, int(step.classwise)] for step in self.steps]
        end = [len(self.laws) - 1, NO_TOKEN, NO_TOKEN, 0]
        return torch.tensor([*steps, end], dtype=torch.int64).to(self.laws.device).T

    @property
    def _rows(self) -> Tensor:
        return self._numbers[0, :-1]

    @property
    def _symbols(self) -> Tensor:
        return self._numbers[1, :-1]

    @property
    def _within(self) -> Tensor:
        return self._numbers[2, :-1]

    @cached_property
    def _classwise(self) -> Tensor:
        return self._numbers[3, :-1].bool()

    @cached_property
    def _masses(self) -> Tensor:
        """``[n]``: the target's mass of the class that a step proposes or is given; 1 where there is none."""
        masses = {(-1, -1): self.laws.new_ones(())}
        keys = []
        for step in self.steps:
            symbol = step.symbol if step.classwise else step.within
            keys.append((step.row, symbol) if symbol >= 0 else (-1, -1))
            if keys[-1] not in masses:
                masses[keys[-1]] = self.laws[step.row].index_select(0, self.spelling.members(symbol)).sum()
        return torch.stack([masses[key] for key in keys])

    @cached_property
    def _given(self) -> Tensor:
        """``[n]``: what a token's probability is multiplied with, given what the step is given."""
        return torch.where(self._within >= 0, 1 / self._masses, 1.0)
