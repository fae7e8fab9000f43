"""Prompt lookup: what was said before after the same words, proposed again. Needs no draft model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from anydraft.proposers.base import Block, DraftContext
from anydraft.sampling.laws import Randomness
from anydraft.sampling.rejection import verify_tokens

_BYTES = 8
"""Bytes encoded for each candidate wanted: more than a token has, but for long runs of spaces."""

_LONGEST = 64
"""The most candidates."""


def bytes_for(wanted: int) -> int:
    """How many bytes must be looked up for so many candidates."""
    return _BYTES * (max(0, min(wanted, _LONGEST)) + 1)


def foreseen(continuation: bytes, emitted: Iterable[bytes]) -> tuple[int, int]:
    """How many tokens of those ``emitted`` a continuation had, and how many were compared.

    The first that it has otherwise, or a control token, is the last to be compared; none goes beyond its end.
    """
    held = told = at = 0
    for token in emitted:
        if at + len(token) > len(continuation):
            break
        told += 1
        if not token or not continuation.startswith(token, at):
            break
        held, at = held + 1, at + len(token)
    return held, told


class NgramLookup:
    """Find the end of the text earlier in it or in what was seen before, and propose what followed there.

    Works on bytes, so that a passage is found again however its tokens were cut, and proposes what the
    target's own tokenizer makes of it. What was found (:attr:`DraftContext.looked_up`) is fixed before the
    round, so that each candidate is accepted with the target's own probability of it.

    Source: Saxena 2023 (prompt lookup decoding), there on the level of tokens.
    """

    name = "lookup"

    def __init__(self, encode: Callable[[bytes], list[int] | None]) -> None:
        """``encode``: bytes to target ids, without control tokens; ``None`` if they cannot be written."""
        self._encode = encode

    def draft(self, context: DraftContext, gamma: int, randomness: Randomness) -> Block:
        """Propose at most ``gamma`` candidates, or none; nothing is drawn."""
        none = torch.empty(0, dtype=torch.int64, device=context.target_device)
        wanted = gamma if context.limit is None else min(gamma, context.limit)
        proposed = self.candidates(context, wanted)
        return Block(none, none.new_tensor(proposed), draft_list=[], candidate_list=proposed)

    def candidates(self, context: DraftContext, wanted: int) -> list[int]:
        """The target ids of what is expected to follow."""
        if not context.looked_up:
            return []
        ids = self._encode(_whole(context.looked_up[0].data[: bytes_for(wanted)]))
        return (ids or [])[:-1][:wanted]  # the last token may have been cut short

    def verify(self, block: Block, laws: Tensor, randomness: Randomness) -> Tensor:
        """See :meth:`Strategy.verify`."""
        return verify_tokens(laws, None, block.candidates, randomness)


def _whole(text: bytes) -> bytes:
    """Without a code point that is cut at the end."""
    for back in range(1, min(4, len(text)) + 1):
        byte = text[-back]
        if byte & 0xC0 != 0x80:  # the start of a code point of so many bytes
            size = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return text[:-back] if size > back else text
    return text
