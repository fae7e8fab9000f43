"""The training itself: steps over lessons, with checkpoints from which a later run goes on bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from torch import Tensor, nn

from anydraft.errors import ModelFileError
from anydraft.models.loaded import head_of, plain_of
from anydraft.training.batches import TOKENS, Batch, endless
from anydraft.training.distil import Lesson
from anydraft.training.optimizer import RATE, Optimizer

WARM_UP = 0.15
"""The share of all steps that is spent on general text first, where there is some."""

EVERY = 50
"""Steps between two entries of the curve."""


@dataclass(frozen=True)
class Course:
    """What is learnt, in which order; a checkpoint belongs to one course."""

    lessons: Sequence[Lesson]
    """Of the target's own text."""
    general: Sequence[Lesson]
    """For the beginning."""
    steps: int
    seed: int
    tokens: int = TOKENS
    rate: float = RATE

    @property
    def warm_up(self) -> int:
        """Steps on general text."""
        return int(WARM_UP * self.steps) if self.general else 0

    def batches(self, step: int) -> Iterator[Batch]:
        """From step number ``step`` on."""
        general = endless(self.general, self.seed, self.tokens, step) if self.warm_up > step else iter(())
        own = endless(self.lessons, self.seed + 1, self.tokens, max(0, step - self.warm_up))
        return chain(islice(general, max(0, self.warm_up - step)), own)


Report = Callable[[int, float], None]
"""Told the number of steps done and the mean loss since it was last told, every :data:`EVERY` steps."""


def train(
    model: nn.Module,
    course: Course,
    report: Report,
    *,
    checkpoint: Path | None = None,
    every: int = 200,
    until: Callable[[int], bool] = lambda step: False,
) -> bool:
    """Train ``model`` in place; whether all steps are done.

    A ``checkpoint`` file is written every so many steps, and gone on from if it is there. ``until`` is asked
    after each step whether to stop early, which leaves a checkpoint too.

    Raises:
        ModelFileError: a checkpoint of another course.
    """
    optimizer = Optimizer(model, course.steps, course.rate)
    step = _restore(checkpoint, model, optimizer, course) if checkpoint and checkpoint.exists() else 0
    device = next(model.parameters()).device
    model.train()
    losses: list[Tensor] = []
    try:
        for batch in islice(course.batches(step), max(0, course.steps - step)):
            loss = lesson_loss(model, Batch(*(part.to(device) for part in batch)))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step(step)
            step += 1
            losses.append(loss.detach())
            if step % EVERY == 0 or step == course.steps:
                report(step, float(torch.stack(losses).mean()))
                losses = []
            stopped = until(step)
            if checkpoint and (step % every == 0 or stopped or step == course.steps):
                _save(checkpoint, model, optimizer, course, step)
            if stopped:
                break
    finally:
        model.eval()
    return step >= course.steps


def lesson_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross entropy with the laws that are wanted, over all places that have one; 0-d, float32."""
    device = batch.ids.device.type
    with torch.autocast(device, torch.bfloat16, enabled=quick_bfloat16(device)):
        hidden = plain_of(model).base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
        taught = batch.weights.sum(-1) > 0
        head = head_of(model)
        assert head is not None
        logits = head(hidden[taught])
    logits, weights = logits.float(), batch.weights[taught]
    said = (weights * logits.gather(-1, batch.wanted[taught])).sum(-1)
    losses = weights.sum(-1) * logits.logsumexp(-1) - said
    mean: Tensor = losses.sum() / max(1, len(losses))
    return mean


def quick_bfloat16(device: str) -> bool:
    """Whether a kind of device computes in bfloat16 sooner than in float32."""
    if device != "cpu":
        return True
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(known and known())


def _mark(course: Course) -> dict[str, float]:
    """What tells one course from another."""
    tokens = sum(len(lesson) for lesson in chain(course.lessons, course.general))
    first = math.fsum(float(lesson.ids.sum()) for lesson in chain(course.lessons, course.general))
    return {"steps": course.steps, "seed": course.seed, "rate": course.rate, "tokens": tokens, "ids": first}


def _save(path: Path, model: nn.Module, optimizer: Optimizer, course: Course, step: int) -> None:
    state = {
        "step": step,
        "course": _mark(course),
        "model": model.state_dict(),
        "optimizer": optimizer.state(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.rename(path)


def _restore(path: Path, model: nn.Module, optimizer: Optimizer, course: Course) -> int:
    try:
        state = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelFileError(
            f"got {path}, which is no checkpoint ({error}); remove it to begin anew"
        ) from error
    if state["course"] != _mark(course):
        raise ModelFileError(
            f"got {path}, a checkpoint of another course ({state['course']}); expected {_mark(course)}. "
            "Remove it to begin anew, or give the same corpus, seed and number of steps."
        )
    model.load_state_dict(state["model"])
    optimizer.restore(state["optimizer"])
    return int(state["step"])
