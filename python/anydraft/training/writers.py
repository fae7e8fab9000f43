"""Who writes the texts of a training, how many and for how long: the target, and other targets."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from anydraft.errors import ArgumentError
from anydraft.training import corpus, tasks, writing
from anydraft.training.folder import TrainingFolder
from anydraft.training.optimizer import quick_bfloat16
from anydraft.training.samples import Sample, Store
from anydraft.training.wanted import Other, Wanted, Watcher

SAMPLING_SHARE = 0.5
"""Of the time that is given, for all texts."""

OTHERS_SHARE = 0.25
"""Of this time, or of the number of texts, what each other target gets."""

MOST_OTHERS = 3

HELD_OUT = 32
"""Texts on held-out subjects by which the curve is drawn."""

PREFIXES = 900
"""Beginnings of the user's texts that targets may be asked to continue."""

MOST_TASKS = 20_000


class Written(NamedTuple):
    """Texts, and who wrote them."""

    by: Other
    samples: Sequence[Sample]


def check_others(count: int) -> None:
    """Raise :class:`ArgumentError` for more other targets than leave time for the target itself."""
    if count > MOST_OTHERS:
        raise ArgumentError(
            f"got {count} other targets; expected at most {MOST_OTHERS}, each of which "
            f"writes for {OTHERS_SHARE:.0%} of the time. Leave some out"
        )


def shares(wanted: Wanted, others: int) -> list[int | None]:
    """How many texts the target writes, and each other; ``None`` where time decides.

    Raises:
        ArgumentError: fewer texts than targets.
    """
    if wanted.texts is None:
        return [None] * (1 + others)
    each = max(1, int(OTHERS_SHARE * wanted.texts))
    if wanted.texts <= each * others:
        raise ArgumentError(
            f"got {wanted.texts} texts for {1 + others} targets; expected at least one for each. Give more"
        )
    return [wanted.texts - each * others, *[each] * others]


class Desk:
    """Where texts are written, and kept: a folder that a later run goes on with."""

    def __init__(self, folder: TrainingFolder, wanted: Wanted, watcher: Watcher) -> None:
        """``folder``: where texts are kept, and what they took."""
        self.folder, self.wanted, self.watcher = folder, wanted, watcher

    def held_out(self, target: Other) -> Written:
        """What the curve is drawn by."""
        made = [task for kind in ("code", "prose") for task in tasks.held_out_tasks(HELD_OUT // 2, 7, kind)]
        return Written(target, self._texts(target, "held-out", made, math.inf))

    def written(self, target: Other, others: Sequence[Other], texts: Sequence[str]) -> list[Written]:
        """What is learnt, by everybody; ``texts``: the user's.

        Once training has begun and time decides, no more is drawn: the order would be another.
        """
        seed, wanted = self.wanted.seed, self.wanted
        prefixes = corpus.prefixes(texts, PREFIXES, seed)
        begun = wanted.texts is None and self.folder.begun is not None
        minutes = 0.0 if begun else wanted.minutes * SAMPLING_SHARE
        found = []
        for i, (one, count) in enumerate(zip((target, *others), shares(wanted, len(others)), strict=True)):
            part = OTHERS_SHARE if i else 1 - OTHERS_SHARE * len(others)
            made = tasks.training_tasks(count or MOST_TASKS, seed + i, prefixes)
            seconds = math.inf if count else 60 * minutes * part
            samples = self._texts(one, f"samples-{i}" if i else "samples", made, seconds)
            # There may be more from before.
            found.append(Written(one, [s for s in samples if count is None or s.number < count]))
        return found

    def _texts(self, by: Other, name: str, made: list[tasks.Task], seconds: float) -> list[Sample]:
        store, spent = Store(self.folder.path / name), self.folder.spent_on(f"writing {name}")
        left = seconds - spent
        if left <= 0 or store.numbers() >= set(range(len(made))):
            return list(store)
        began = time.monotonic()

        def told(done: int, tokens: int) -> None:
            now = time.monotonic() - began
            self.watcher.stage(
                f"{by.name} writes",
                min(1.0, max(done / len(made), (spent + now) / seconds)),
                f"{done} texts, {tokens} tokens, {tokens / max(now, 1e-9):.0f} a second",
            )

        longest = self.wanted.new_tokens
        try:
            writing.draw(
                _quick(by.model),
                by.tokenizer,
                made,
                store,
                seed=self.wanted.seed,
                seconds=left,
                longest=longest,
                progress=told,
            )
        finally:
            self.folder.spent_on(f"writing {name}", time.monotonic() - began)
        return list(store)


def _quick(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in bfloat16, where the device is quick with it and has room: it writes nearly the same."""
    if model.dtype != torch.float32 or not quick_bfloat16(model.device.type):
        return model
    try:
        # Weight by weight: no second copy in float32, which a device may have no room for.
        halved = {id(p): nn.Parameter(p.detach().bfloat16(), requires_grad=False) for p in model.parameters()}
        quick: PreTrainedModel = copy.deepcopy(model, halved)
    except torch.OutOfMemoryError:
        return model
    return quick
