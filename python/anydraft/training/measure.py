"""How good a draft is for a target, on prompts that were in no training text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from anydraft.bridge.protocols import AnyTokenizer
from anydraft.errors import ModelError
from anydraft.planner import measure as measure_pair
from anydraft.scheduling.plan import Plan, Prediction
from anydraft.speculator import Speculator
from anydraft.training.batches import together
from anydraft.training.distil import Lesson
from anydraft.training.loop import lesson_loss
from anydraft.training.tasks import Kind, held_out_tasks

TEMPERATURES = (0.0, 0.7)

KINDS: tuple[Kind, ...] = ("code", "prose")


@dataclass(frozen=True)
class Agreement:
    """How a draft agrees with a target's law, where tokens of both begin; by teacher forcing."""

    loss: float
    """Mean cross entropy in nats."""
    greedy: float
    """The share of places where both find the same draft token likeliest."""
    sampled: float
    """Expected acceptance of the first draft token at temperature 1: the mean of ``sum min(p, q)``."""


@dataclass(frozen=True)
class Measured:
    """What a draft does for a target on one kind of prompts; see :mod:`anydraft.planner`."""

    kind: Kind
    temperature: float
    method: str
    """That pays best of those that draft with the model."""
    length: int
    """Draft tokens of a block."""
    acceptance: float
    """The share of blocks whose first candidate was accepted, or of a tree one beside it."""
    tokens_per_pass: float
    speedup: float
    """Predicted, beside the target alone in the same loop."""
    step: float
    """A draft pass as a share of a pass of the target over one token."""
    positions: int
    """Blocks that were judged."""


@torch.no_grad()
def agreement(model: nn.Module, lessons: Sequence[Lesson]) -> Agreement:
    """On lessons that were not learnt; ``model`` is in evaluation mode afterwards."""
    model.eval()
    device = next(model.parameters()).device
    batch = type(whole := together(lessons))(*(part.to(device) for part in whole))
    taught = (batch.weights > 0).sum(-1) > 1
    if not bool(taught.any()):
        taught = batch.weights.sum(-1) > 0
    laws = model(input_ids=batch.ids, use_cache=False).logits[taught].float().softmax(-1)
    wanted, weights = batch.wanted[taught], batch.weights[taught]
    same = laws.argmax(-1) == wanted[:, 0]
    shared = torch.minimum(laws.gather(-1, wanted), weights).sum(-1)
    loss = float(lesson_loss(model, batch))
    return Agreement(loss, float(same.float().mean()), float(shared.mean()))


def measure(
    target_model: nn.Module,
    target_tokenizer: AnyTokenizer,
    draft_model: nn.Module,
    draft_tokenizer: AnyTokenizer,
    *,
    prompts: int = 4,
    new_tokens: int = 48,
    seed: int = 0,
) -> list[Measured]:
    """Code and prose, greedy and at 0.7, ``prompts`` of each; the target writes ``new_tokens`` after each."""
    pair = Speculator(target_model, draft_model, target_tokenizer, draft_tokenizer)
    found = []
    for kind in KINDS:
        texts = [task.text for task in held_out_tasks(2 * prompts, seed, kind) if not task.chat]
        for temperature in TEMPERATURES:
            methods = ("slem",) if temperature == 0 else ("slrs", "tli")
            plan = measure_pair(pair, temperature, texts, methods, new_tokens)
            found.append(_measured(kind, plan))
    return found


def best_of(plan: Plan) -> Prediction:
    """The fastest line of the best method, whether or not it is worth it.

    Raises:
        ModelError: nothing was drafted that a method could be judged by.
    """
    if not plan.reach:
        raise ModelError(f"got no draft that could be judged; expected some: {'; '.join(plan.notes)}")
    return plan.best(plan.ranking()[0])


def _measured(kind: Kind, plan: Plan) -> Measured:
    best = best_of(plan)
    reach = plan.reach[best.method]
    return Measured(
        kind=kind,
        temperature=plan.temperature,
        method=best.method,
        length=best.length,
        acceptance=reach.first,
        tokens_per_pass=best.tokens_per_pass,
        speedup=best.speedup,
        step=plan.step / plan.verify[1],
        positions=plan.positions,
    )
