"""The bridge of two models: control tokens partnered by role, and no token that a model has no row for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.protocols import TokenizerOrFile
from anydraft.bridge.special_tokens import RolePairs, bridge_roles
from anydraft.bridge.tokenizer_source import TokenizerSource


def bridge_of(
    tokenizers: Sequence[Any],
    generation: Sequence[object] = (None, None),
    rows: Sequence[int | None] = (None, None),
) -> Bridge:
    """The bridge between a target's and a draft's tokenizer.

    ``generation``: both models' generation configs, which say where their texts end; ``rows``: how many ids
    each model reads and says, if that is known. Added tokens beyond them are left out: Gemma-3's text models
    have a tokenizer with one more id than rows, and so has a model whose embedding was not resized.

    Raises:
        TokenizerError: a tokenizer that cannot be expressed in bytes.
    """
    roles = roles_of(tokenizers, generation, rows)
    return Bridge(*sources(tokenizers, rows), to_target=roles.to_target, to_draft=roles.to_draft)


def roles_of(
    tokenizers: Sequence[Any], generation: Sequence[object], rows: Sequence[int | None]
) -> RolePairs:
    """:func:`~anydraft.bridge.special_tokens.bridge_roles`, of tokens that the models have rows for."""
    roles = bridge_roles(*tokenizers, *generation)
    target, draft = rows
    return RolePairs(
        [(i, j) for i, j in roles.to_target if _has(draft, i) and _has(target, j)],
        [(i, j) for i, j in roles.to_draft if _has(target, i) and _has(draft, j)],
    )


def sources(tokenizers: Sequence[TokenizerOrFile], rows: Sequence[int | None]) -> list[TokenizerSource]:
    """Both tokenizers without the added tokens that their models have no row for; nothing is read."""
    made = TokenizerSource.of(tokenizers[0], "target"), TokenizerSource.of(tokenizers[1], "draft")
    return [source if most is None else source.within(most) for source, most in zip(made, rows, strict=True)]


def check_bridge(bridge: Bridge, tokenizers: Sequence[TokenizerOrFile], rows: Sequence[int | None]) -> None:
    """Raise :class:`PairError` if a bridge was made of other tokenizers than these, as a whole or without
    the tokens that their models have no row for."""
    known = [
        fewer if fewer.fingerprint == own else whole
        for fewer, own, whole in zip(sources(tokenizers, rows), bridge.fingerprints, tokenizers, strict=True)
    ]
    bridge.check(*known)


def _has(rows: int | None, token: int) -> bool:
    return rows is None or token < rows
