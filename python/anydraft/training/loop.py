"""The training itself: steps over lessons, with checkpoints from which a later run goes on bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from anydraft.errors import ModelFileError
from anydraft.models.loaded import head_of, plain_of
from anydraft.training.ahead import masked
from anydraft.training.batches import TOKENS, Batch, endless
from anydraft.training.distil import Lesson
from anydraft.training.optimizer import RATE, Optimizer, quick_bfloat16

WARM_UP = 0.15
"""The share of all steps that is spent on general text first, where there is some."""

EVERY = 50
"""Steps between two entries of the curve."""

AHEAD = 0.5
"""What the mean loss of masks counts beside that of the text."""


@dataclass(frozen=True)
class Course:
    """What is learnt, in which order; a checkpoint belongs to one course, which may be lengthened."""

    lessons: Sequence[Lesson]
    """Of the target's own text."""
    general: Sequence[Lesson]
    """For the beginning."""
    steps: int
    seed: int
    tokens: int = TOKENS
    rate: float = RATE
    masks: Sequence[int] = ()
    """What the model reads to see further than the next token; see :mod:`anydraft.training.ahead`."""

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
"""Told the number of steps done and the mean loss since it was last told, every :data:`EVERY` steps: that of
the text, without masks."""


def train(
    model: nn.Module,
    course: Course,
    report: Report,
    *,
    checkpoint: Path | None = None,
    every: int = EVERY,
    until: Callable[[int], bool] = lambda step: False,
) -> bool:
    """Train ``model`` in place; whether all steps are done.

    A ``checkpoint`` file is written every so many steps, and gone on from if it is there, also where all
    steps were done and now there are more. ``until`` is asked after each step whether to stop early, which
    leaves a checkpoint too.

    Raises:
        ModelFileError: a checkpoint of another course.
    """
    optimizer = Optimizer(model, course.steps, course.rate)
    step = _restore(checkpoint, model, optimizer, course) if checkpoint and checkpoint.exists() else 0
    model.train()
    losses: list[Tensor] = []
    try:
        for batch in islice(course.batches(step), max(0, course.steps - step)):
            loss, own = _losses(model, batch, course, step)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step(step)
            step += 1
            losses.append(own.detach())
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
    losses, taught = _at_places(model, batch)
    return losses.sum() / max(1, int(taught.sum()))


def ahead_losses(model: nn.Module, batch: Batch, masks: Sequence[int], chance: torch.Generator) -> Tensor:
    """The same with groups of ``masks`` beside the texts: float32 ``[2]``, of the texts and of the masks."""
    given, device = masked(batch, masks, chance), next(model.parameters()).device
    losses, taught = _at_places(
        model,
        Batch(*(part.to(device) for part in given.batch)),
        position_ids=given.positions.to(device),
        attention_mask=given.seen.to(device),
    )
    whole = losses.new_zeros(taught.shape).masked_scatter_(taught, losses)
    width = batch.ids.shape[1]
    own, beside = slice(None, width), slice(width, None)
    return torch.stack([whole[:, part].sum() / max(1, int(taught[:, part].sum())) for part in (own, beside)])


def _losses(model: nn.Module, batch: Batch, course: Course, step: int) -> tuple[Tensor, Tensor]:
    """What is to fall, and the loss of the text alone."""
    if not course.masks:
        device = next(model.parameters()).device
        own = lesson_loss(model, Batch(*(part.to(device) for part in batch)))
        return own, own
    chance = torch.Generator().manual_seed(course.seed * 1_000_003 + step)
    own, beside = ahead_losses(model, batch, course.masks, chance)
    return own + AHEAD * beside, own


def _at_places(model: nn.Module, batch: Batch, **given: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropies, float32, of the places that have a law, and bool ``[B, n]``: which these are."""
    device = batch.ids.device.type
    taught = batch.weights.sum(-1) > 0
    with torch.autocast(device, torch.bfloat16, enabled=quick_bfloat16(device)):
        hidden = plain_of(model).base_model(input_ids=batch.ids, use_cache=False, **given).last_hidden_state
        head = head_of(model)
        assert head is not None
        logits = head(hidden[taught])
    logits, weights = logits.float(), batch.weights[taught]
    said = (weights * logits.gather(-1, batch.wanted[taught])).sum(-1)
    return weights.sum(-1) * logits.logsumexp(-1) - said, taught


def _mark(course: Course) -> dict[str, float]:
    """What tells one course from another."""
    tokens = sum(len(lesson) for lesson in chain(course.lessons, course.general))
    first = math.fsum(float(lesson.ids.sum()) for lesson in chain(course.lessons, course.general))
    mark = {"seed": course.seed, "rate": course.rate, "tokens": tokens, "ids": first}
    return {**mark, "masks": float(len(course.masks))} if course.masks else mark


def _save(path: Path, model: nn.Module, optimizer: Optimizer, course: Course, step: int) -> None:
    state = {
        "step": step,
        "course": _mark(course),
        "model": model.state_dict(),
        "optimizer": optimizer.state(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _restore(path: Path, model: nn.Module, optimizer: Optimizer, course: Course) -> int:
    try:
        state = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise ModelFileError(
            f"got {path}, which is no checkpoint ({error}); remove it to begin anew"
        ) from error
    state["course"].pop("steps", None)  # as they were once kept
    if state["course"] != _mark(course) or state["step"] > course.steps:
        raise ModelFileError(
            f"got {path}, a checkpoint of another course ({state['course']}, after {state['step']} steps); "
            f"expected {_mark(course)}, after at most {course.steps}. Remove it to begin anew, or give the "
            "same corpus, texts and seed and at least as many steps."
        )
    model.load_state_dict(state["model"])
    optimizer.restore(state["optimizer"])
    return int(state["step"])
