"""A draft with a smaller output head: only its most used tokens are computed, so that a pass takes less time.

Frequency-ranked rows, after Zhao et al. 2025 (arXiv 2502.14856, FR-Spec). All tokens can still be read: an
input embedding stays whole, also where it is tied to the head. What is kept is a list in the model's
configuration, from which :class:`~anydraft.proposers.draft_head.DraftHead`
makes the head; the law drawn from is the
draft's own, restricted to these tokens, so that the target's output stays exact. To transformers the model is
as it was.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from transformers import PreTrainedModel

from anydraft.bridge import special_tokens
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.bridge.text import utf8
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import ArgumentError
from anydraft.models.fast.trimmed_head import KEPT_ROWS
from anydraft.models.loaded import width_of


@dataclass(frozen=True)
class Kept:
    """Which tokens of a vocabulary stay."""

    rows: list[int]
    """Ids, ascending."""
    usage: float
    """The share of the tokens of the texts that are among them."""


def kept_rows(
    tokenizer: AnyTokenizer, texts: Iterable[str], count: int, generation_config: object = None
) -> Kept:
    """The ``count`` tokens used most in ``texts``; ends and starts of texts and turns are always among them.

    Of tokens used alike, lower ids come first, which in most vocabularies are the more frequent ones.

    Raises:
        ArgumentError: ``count`` leaves no room beside the control tokens, or the texts are empty.
        TokenizerError: a tokenizer that cannot be expressed in bytes.
    """
    plain = TokenizerSource.of(tokenizer, "draft").load()
    roles = special_tokens.special_roles(tokenizer, generation_config)
    always = {i for name in ("bos", "eos", "start_of_turn", "end_of_turn") for i in roles[name]}
    if count <= len(always):
        raise ArgumentError(
            f"got {count} tokens to keep; expected more than the {len(always)} control tokens"
        )
    used: Counter[int] = Counter()
    for text in texts:
        used.update(plain.encode(utf8(text, "a text")) or [])
    if not used:
        raise ArgumentError("got no text to count tokens in; expected texts like those that will be drafted")
    order = sorted((i for i in range(len(plain)) if i not in always), key=lambda i: (-used[i], i))
    rows = sorted(always.union(order[: count - len(always)]))
    return Kept(rows, sum(used[i] for i in rows) / used.total())


def shrunken(model: PreTrainedModel, rows: list[int]) -> PreTrainedModel:
    """A copy of ``model`` that computes these rows of its head when it drafts; weights are shared.

    ``save_pretrained`` keeps the list. Raises :class:`ArgumentError` for rows that the head does not have.
    """
    width = width_of(model, 0)
    if not rows or sorted(set(rows)) != list(rows) or not 0 <= rows[0] <= rows[-1] < width:
        raise ArgumentError(f"got rows that are not ascending ids below {width}, the width of the head")
    tensors = [*model.parameters(), *model.buffers()]
    made = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    setattr(made.config.get_text_config(decoder=True), KEPT_ROWS, list(rows))
    return made
