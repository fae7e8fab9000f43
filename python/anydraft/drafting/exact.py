"""String-level rejection sampling with the look-ahead law itself (``method="slrs-exact"``)."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anydraft.drafting.branching import branch
from anydraft.drafting.class_plan import ClassPlan
from anydraft.drafting.class_spelling import ClassSpelling
from anydraft.drafting.class_tables import ClassTables
from anydraft.drafting.draw import allowed_law, draw_tokens
from anydraft.drafting.expansion import Expansion
from anydraft.drafting.protocol import Block, DraftContext, Drawn
from anydraft.errors import DraftError
from anydraft.sampling import Randomness
from anydraft.verification import NO_TOKEN, mass_at, residual_law


@dataclass(frozen=True)
class LookAheadStep:
    """A candidate proposed outright, from one draft token or from two."""

    row: int
    """Number of candidates before it."""
    symbol: int
    """The candidate; ``NO_TOKEN`` if nothing is proposed."""
    position: int
    """Which draft token it starts from."""
    weights: Tensor
    """``[D]``: the law of that draft token, given what the steps before revealed."""
    labels: Tensor
    """int64 ``[D]``: the target token that each closed draft token would have given."""
    classes: Tensor | None
    """int64 ``[D]``: the class of each draft token; ``None`` if no look-ahead law was drawn from."""
    opens: Tensor | None
    """bool ``[D]``: where the draft token after it decides what is proposed."""


@dataclass
class LookAheadPlan(ClassPlan):
    """Walks as class coupling does, but proposes each token in one step, revealing no class before."""

    looks: list[LookAheadStep] = field(default_factory=list)

    def _token(self, position: int, agrees: Tensor | None, labels: Tensor, target_id: int) -> None:
        self._look(target_id, position, self._given(position, agrees), labels, None, None)

    def _class(
        self, position: int, expansion: Expansion, row: list[int], depth: int, agrees: Tensor | None
    ) -> tuple[str, Tensor | None]:
        symbol, is_open = self.spelling.symbol(row[depth], last=depth == len(row) - 1)
        target_id, rule = (
            self.spelling.follow(symbol, self.ids[position + 1]) if is_open else (row[depth], "end")
        )
        classes, opens = self.spelling.reading(expansion, depth)
        weights = self._given(position, agrees)
        self._look(target_id, position, weights, expansion.column(depth), classes, opens)
        if target_id == NO_TOKEN:
            return "nothing", None
        return rule, self.spelling.following(symbol) == target_id if is_open else None

    def _look(
        self,
        target_id: int,
        position: int,
        weights: Tensor,
        labels: Tensor,
        classes: Tensor | None,
        opens: Tensor | None,
    ) -> None:
        row = len(self.candidates)
        self.looks.append(LookAheadStep(row, target_id, position, weights, labels, classes, opens))
        if target_id != NO_TOKEN:
            self.candidates.append(target_id)


@dataclass(frozen=True)
class LookAheadBlock(Block):
    """A block that can ask the draft for more laws."""

    steps: list[LookAheadStep]
    context: DraftContext
    base: int
    """Length of the draft's context before the block."""
    known: dict[tuple[int, int], Tensor]
    """``[D]``: the draft's law after the first ``position`` tokens of the block and one token."""


class LookAhead:
    """Verify against the exact law of *the target token that the next two draft tokens begin with*.

    Accepts at least as often as class coupling, which reveals the class first, but its law has to be asked of
    the draft token by token: one pass for a draft token that is longer than its first target token, and
    passes for the residual, which is drawn by proposing from the target's law and keeping what the draft's
    law leaves over. Waits for the device at every candidate; the token rule only.
    """

    name = "slrs-exact"

    def __init__(
        self,
        tables: ClassTables,
        width: int,
        *,
        batch: int = 8,
        tries: int | None = None,
        draft_device: torch.device | str = "cpu",
        target_device: torch.device | str = "cpu",
    ) -> None:
        """``width``: the target's number of logits.

        ``batch``: proposals that are looked at together, so that their laws are asked for together.
        ``tries``: after so many proposals the residual is computed in full, which asks for a law per draft
        token: for tiny vocabularies only.
        """
        self._spelling = ClassSpelling(tables, width, target_device)
        self.allowed = (tables.offsets.diff() > 0).to(draft_device)
        self._batch = batch
        self._tries = tries

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> LookAheadBlock:
        """Draw ``gamma`` tokens; the candidates are what would be emitted if every one were accepted."""
        return self.block(draw_tokens(context, gamma, randomness, self.allowed), context)

    def block(self, drawn: Drawn, context: DraftContext) -> LookAheadBlock:
        """See :class:`Drawing`."""
        base = context.model.length - (len(drawn.ids) - 1)
        ids, laws = drawn.ids.tolist(), drawn.laws.to(context.target_device)
        limit = sys.maxsize if context.limit is None else context.limit
        plan = LookAheadPlan(self._spelling, laws, ids, limit)
        plan.build()
        known = {(i, ids[i]): laws[i + 1] for i in range(len(ids) - 1)}
        candidates = torch.tensor(plan.candidates, dtype=torch.int64, device=context.target_device)
        return LookAheadBlock(drawn.ids, candidates, plan.looks, context, base, known)

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """See :meth:`Strategy.verify`. May shorten the draft's cache."""
        assert isinstance(block, LookAheadBlock)
        for step in block.steps:
            law = laws[step.row]
            if step.symbol != NO_TOKEN:
                chance = (law[step.symbol] / self._masses(block, step, [step.symbol])[0]).clamp(max=1)
                if bool(randomness.coins(chance.view(1))):
                    continue
            return torch.stack((law.new_tensor(step.row).long(), self._recover(block, step, law, randomness)))
        return torch.stack((torch.tensor(len(laws) - 1, device=laws.device), randomness.draw(laws[-1])))

    def _recover(
        self, block: LookAheadBlock, step: LookAheadStep, law: Tensor, randomness: Randomness
    ) -> Tensor:
        """Draw from the residual: propose from the target's law, keep where the draft's law is smaller."""
        batch, tried = self._batch, 0
        while tried < (2**20 if self._tries is None else self._tries):
            proposed = randomness.draw(law.expand(batch, -1))
            distinct, which = torch.unique(proposed, return_inverse=True)
            masses = self._masses(block, step, distinct.tolist())[which]
            kept = randomness.coins((1 - masses / law[proposed]).clamp(min=0))
            if bool(kept.any()):
                return proposed[kept.byte().argmax()]
            tried, batch = tried + batch, batch if self._tries else 2 * batch
        if self._tries is None:  # the laws agree but for rounding
            return randomness.draw(law)
        return randomness.draw(residual_law(law - self._masses(block, step, list(range(len(law)))), law))

    def _masses(self, block: LookAheadBlock, step: LookAheadStep, target_ids: list[int]) -> Tensor:
        """``[m]``: the draft's law of target tokens at a step."""
        closed = step.weights if step.opens is None else step.weights * ~step.opens
        masses = [mass_at(t, closed, step.labels) for t in target_ids]
        if step.opens is None or step.classes is None:
            return torch.stack(masses)
        symbols = [
            self._spelling.symbol(t, last=False)[0] if t < self._spelling.named else -1 for t in target_ids
        ]
        starts = {
            symbol: (step.opens & (step.classes == symbol) & (step.weights > 0))
            .nonzero()
            .squeeze(-1)
            .tolist()
            for symbol in set(symbols) - {NO_TOKEN}
        }
        self._ask(block, step.position, {d for same in starts.values() for d in same})
        for i, (target_id, symbol) in enumerate(zip(target_ids, symbols, strict=True)):
            for d in starts.get(symbol, []):
                after = mass_at(target_id, block.known[step.position, d], self._spelling.following(symbol))
                masses[i] = masses[i] + step.weights[d] * after
        return torch.stack(masses)

    def _ask(self, block: LookAheadBlock, position: int, draft_ids: set[int]) -> None:
        """Have the draft's laws after the first ``position`` tokens of the block and each of some tokens."""
        missing = sorted(d for d in draft_ids if (position, d) not in block.known)
        if not missing:
            return
        try:
            rows = self._laws_after(block, position, missing)
        except Exception as error:
            raise DraftError(f"{type(error).__name__}: {error}") from error
        block.known.update({(position, d): law for d, law in zip(missing, rows, strict=True)})

    def _laws_after(self, block: LookAheadBlock, position: int, draft_ids: list[int]) -> list[Tensor]:
        context = block.context
        context.model.crop(block.base + position)
        cached = context.model.length - block.base
        if cached < position:  # an earlier question cut the cache
            context.model.advance(block.draft_ids[cached:position])
        logits = branch(context.model, torch.tensor(draft_ids, device=context.model.device))
        laws = (allowed_law(context, row, self.allowed) for row in logits)
        return [law.to(context.target_device) for law in laws]
