"""Drafts that come with anydraft: small models with small vocabularies of their own, for any target.

``docs/drafts/`` has a card for each: what it learnt from, and how much it helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from anydraft.errors import ArgumentError
from anydraft.loading.folders import load_tokenizer
from anydraft.loading.names import tiny_folder
from anydraft.loading.quantised import load_quantised

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

DraftName = Literal["tiny"]

NAMES: tuple[DraftName, ...] = ("tiny",)


class Draft(NamedTuple):
    """What a :class:`~anydraft.Speculator` needs of a draft."""

    model: PreTrainedModel
    """Of transformers, float32, on the CPU, in evaluation mode."""
    tokenizer: PreTrainedTokenizerFast
    """A fast tokenizer of transformers."""


def load(name: DraftName = "tiny") -> Draft:
    """A packaged draft: ``model, tokenizer = anydraft.drafts.load("tiny")``. Never a download.

    Raises:
        ArgumentError: another name.
        ModelFileError: its files are damaged.
    """
    if name not in NAMES:
        raise ArgumentError(f"got the draft {name!r}; expected one of {', '.join(NAMES)}")
    return Draft(load_quantised(tiny_folder()), load_tokenizer(tiny_folder()))
