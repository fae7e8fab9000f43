"""Toy worlds small enough to walk every branch: vocabularies, encoders and models."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from anydraft.proposers.slrs.tables import ClassTables
from anydraft.sampling.rejection import NO_TOKEN
from placed import DEVICE
from reference import class_tables


@dataclass(frozen=True)
class ToyPair:
    """Two vocabularies over a three-letter alphabet; an id is a position in the tuple."""

    name: str
    target: tuple[bytes, ...]
    draft: tuple[bytes, ...]
    words: bool = False
    """Whether the target's tokenizer leaves the last of several spaces to the word that follows."""

    @cached_property
    def table(self) -> Tensor:
        """Draft id to the lowest target id of equal bytes."""
        return torch.tensor([self.target.index(b) if b in self.target else NO_TOKEN for b in self.draft])

    @cached_property
    def tables(self) -> ClassTables:
        return class_tables(self.target, self.draft, self.encode_target, self.encode_draft)

    def encode_target(self, text: bytes) -> list[int]:
        pieces = re.findall(rb" ?[^ ]+| +(?![^ ])| +", text) if self.words else [text]
        return [i for piece in pieces for i in longest_match(self.target, piece)]

    def encode_draft(self, text: bytes) -> list[int]:
        return longest_match(self.draft, text)

    def propose(self, draft_ids: list[int]) -> list[int]:
        """The toy speller: the target's encoding of the drafted text."""
        return self.encode_target(b"".join(self.draft[d] for d in draft_ids))

    def view(self, target_ids: tuple[int, ...]) -> list[int]:
        """A draft-side encoding of the target's text, behind a fixed first id."""
        return [0, *self.encode_draft(b"".join(self.target[t] for t in target_ids if t < len(self.target)))]


def longest_match(vocabulary: tuple[bytes, ...], text: bytes) -> list[int]:
    """Greedy encoding by the longest token, lowest id first; letters without a token are dropped."""
    ids = []
    while text:
        fitting = [i for i, token in enumerate(vocabulary) if text.startswith(token)]
        if fitting:
            best = max(fitting, key=lambda i: (len(vocabulary[i]), -i))
            ids.append(best)
        text = text[len(vocabulary[best]) if fitting else 1 :]
    return ids


PAIRS = [
    ToyPair("partial", (b"a", b"b", b"c", b"ab"), (b"a", b"b", b"ca", b"ab", b"cb")),
    ToyPair("spaces", (b" ", b"a", b"b", b"  ", b"   "), (b" ", b"a", b" a", b"  ", b"b ")),
    ToyPair("duplicates", (b"a", b"b", b"c", b"ab", b"a"), (b"a", b"b", b"a", b"c", b"b")),
    ToyPair("long", (b"a", b"b", b"c", b"ab"), (b"a", b"abc", b"abab", b"c", b"bca")),
    ToyPair("mirror", (b" ", b"a", b" a", b"  ", b"   "), (b"a", b" ", b"  ", b"   ", b"b"), words=True),
    ToyPair("line", (b"b", b" ", b"a", b"  ", b"   "), (b"b  ", b" a", b"a", b" ", b"  ")),
    ToyPair("short", (b"a", b"b", b"abc", b"ab", b"bb"), (b"a", b"b", b"c", b"bb")),
]


class ToyModel:
    """A model whose law is a Dirichlet sample of its own for every context; float64, logits = log law."""

    window = None
    device = DEVICE

    def __init__(self, vocab_size: int, seed: int, *, concentration: float = 0.7) -> None:
        self.vocab_size = vocab_size
        self.seed = seed
        self.concentration = concentration
        self.context: list[int] = []
        self._laws: dict[tuple[int, ...], Tensor] = {}

    @property
    def length(self) -> int:
        return len(self.context)

    def law(self, context: tuple[int, ...]) -> Tensor:
        """The law after a context: float64 ``[V]``."""
        if context not in self._laws:
            chance = random.Random(f"{self.seed} {self.vocab_size} {context}")
            sample = [chance.gammavariate(self.concentration, 1) + 1e-3 for _ in range(self.vocab_size)]
            law = [s / math.fsum(sample) for s in sample]
            self._laws[context] = torch.tensor(law, dtype=torch.float64, device=DEVICE)
        return self._laws[context]

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        self.context.extend(ids.tolist())
        total = len(self.context)
        return torch.stack(
            [self.law(tuple(self.context[: total - i])) for i in range(keep - 1, -1, -1)]
        ).log()

    def settle(self, length: int) -> None:
        pass

    def crop(self, length: int) -> None:
        del self.context[length:]
