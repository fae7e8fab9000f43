"""What a target said, as lessons for a draft: in the draft's tokens, with the target's law in its vocabulary.

Where a token of both begins, the target's law is pushed through the bridge: each target token gives its
probability to the draft token with which the draft starts to write it. Elsewhere the lesson is what came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from anydraft.bridge import prompts
from anydraft.bridge.bridge import Bridge
from anydraft.bridge.common import common_prefix
from anydraft.training.samples import Sample

KEPT = 16
"""Draft tokens whose probabilities are kept at every place."""


@dataclass(frozen=True)
class Lesson:
    """A text in draft tokens, and what should come after each of them."""

    ids: Tensor
    """int64 ``[n]``."""
    wanted: Tensor
    """int64 ``[n, K]``: draft tokens."""
    weights: Tensor
    """float32 ``[n, K]``: their probabilities; all zero where nothing is to be learnt."""

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.ids)


class Distiller:
    """Makes lessons for one pair of tokenizers."""

    def __init__(self, bridge: Bridge, draft_tokenizer: PreTrainedTokenizerFast) -> None:
        """``bridge``: with the roles of the control tokens."""
        self._bridge = bridge
        self._tokenizer = draft_tokenizer
        self._opening = prompts.opening(draft_tokenizer)
        self._class_of = torch.from_numpy(bridge.classes.class_of)

    def lesson(self, sample: Sample, longest: int) -> Lesson | None:
        """One sample, at most ``longest`` draft tokens of it; ``None`` if nothing is left to learn."""
        before, view = self._read(sample)
        first = max(1, common_prefix(before, view))
        end = min(len(view), longest + 1)
        if first >= end:
            return None
        wanted, weights = torch.zeros(end - 1, KEPT, dtype=torch.int64), torch.zeros(end - 1, KEPT)
        wanted[first - 1 :, 0] = torch.tensor(view[first:end])
        weights[first - 1 :, 0] = 1.0
        for place, token in self._shared(before, view, sample.ids.tolist()):
            law = self._pushed(sample.top_ids[token], sample.top_laws[token])
            if first <= place < end and law is not None:
                wanted[place - 1], weights[place - 1] = law
        return Lesson(torch.tensor(view[: end - 1]), wanted, weights)

    def _read(self, sample: Sample) -> tuple[list[int], list[int]]:
        """The prompt as the draft reads it, and the whole text."""
        if sample.task.chat:
            message = [{"role": "user", "content": sample.task.text}]
            session = self._bridge.session(prompts.render_for_draft(self._tokenizer, message), [])
        else:
            session = self._bridge.session(self._opening, sample.prompt.tolist())
        before = session.view()
        session.commit(sample.ids.tolist(), [])
        return before, session.view()

    def _shared(self, before: list[int], view: list[int], ids: list[int]) -> Iterator[tuple[int, int]]:
        """Places where a token of both sides begins: number of draft tokens, number of new target tokens."""
        ours, theirs = self._bridge.target, self._bridge.draft
        starts: dict[int, int] = {}
        for i, offset in enumerate(accumulate((len(ours.bytes(token)) for token in ids), initial=0)):
            if i < len(ids):
                starts.setdefault(offset, i)
        offset = -len(theirs.decode(before))
        for place, token in enumerate(view):
            if offset in starts:
                yield place, starts[offset]
            offset += len(theirs.bytes(token))

    def _pushed(self, ids: Tensor, law: Tensor) -> tuple[Tensor, Tensor] | None:
        real = ids < len(self._class_of)  # a model may have more logits than its tokenizer has ids
        ids, law = ids[real], law[real]
        classes = self._class_of[ids.long()]
        has = classes >= 0
        if not bool(has.any()):
            return None
        found, place = torch.unique(classes[has], return_inverse=True)
        mass = torch.zeros(len(found)).index_add_(0, place, law[has].float())
        top = mass.topk(min(KEPT, len(mass)))
        wanted, weights = torch.zeros(KEPT, dtype=torch.int64), torch.zeros(KEPT)
        wanted[: len(top.indices)] = found[top.indices]
        weights[: len(top.indices)] = top.values / top.values.sum()
        return wanted, weights


def text_lessons(
    tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], length: int, most: int
) -> list[Lesson]:
    """Lessons from plain text, ``length`` tokens each, ``most`` of them: what comes next is what came."""
    found: list[Lesson] = []
    for text in texts:
        ids = torch.tensor(tokenizer.backend_tokenizer.encode(text).ids)
        for start in range(0, len(ids), length + 1):
            piece = ids[start : start + length + 1]
            if len(piece) < 2 or len(found) >= most:
                continue
            wanted = torch.zeros(len(piece) - 1, KEPT, dtype=torch.int64)
            weights = torch.zeros(len(piece) - 1, KEPT)
            wanted[:, 0], weights[:, 0] = piece[1:], 1.0
            found.append(Lesson(piece[:-1], wanted, weights))
        if len(found) >= most:
            break
    return found
