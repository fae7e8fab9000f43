"""A small inference server: continuous batching, rows that move, aborts and preemption; greedy target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from anydraft.models.transformers import TransformersModel

WIDTH = 512


@dataclass(eq=False)
class Job:
    prompt: list[int]
    most: int
    emitted: list[int] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)
    passes: int = 0
    accepted: int = 0

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.emitted

    @property
    def done(self) -> bool:
        return len(self.emitted) >= self.most


class Engine:
    """Asks a proposer as vLLM does: rows of one array, in an order of its own."""

    def __init__(self, model: Any, proposer: Any) -> None:
        self._model, self._proposer = TransformersModel(model), proposer
        self.rows: list[Job] = []
        self.table = np.zeros((64, WIDTH), dtype=np.int32)

    def add(self, job: Job) -> None:
        self.rows.append(job)

    def remove(self, job: Job) -> None:
        """As a batch is condensed: the last row moves into the hole."""
        i = self.rows.index(job)
        last = self.rows.pop()
        if last is not job:
            self.rows[i] = last
        job.draft = []

    def step(self) -> None:
        sampled = [self._verified(job) for job in self.rows]
        for i, job in enumerate(self.rows):
            self.table[i, : len(job.ids)] = job.ids
        lengths = np.array([len(job.ids) for job in self.rows])
        proposals = self._proposer.propose(sampled, lengths, self.table, slot_mappings=None)
        assert len(proposals) == len(self.rows)
        for job, ids in zip(self.rows, proposals, strict=True):
            job.draft = list(ids)
        for job in [job for job in self.rows if job.done]:
            self.remove(job)

    def _verified(self, job: Job) -> list[int]:
        """What greedy decoding says, as far as the draft guessed it, and one token more."""
        self._model.crop(0)
        fed = torch.tensor(job.ids + job.draft)
        best = self._model.advance(fed, len(job.draft) + 1).argmax(-1).tolist()
        said = []
        for token, guess in zip(best, [*job.draft, None], strict=True):
            said.append(token)
            if token != guess:
                break
        said = said[: job.most - len(job.emitted)]
        job.emitted += said
        job.passes += 1
        job.accepted += sum(a == b for a, b in zip(said, job.draft, strict=False))
        return said
