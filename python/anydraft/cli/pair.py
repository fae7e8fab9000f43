"""The pair that a command is given by TARGET and DRAFT: looked for at once, loaded later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from anydraft.cli.loading import Loaded, Side, load_one, load_pair, side
from anydraft.cli.options import DtypeName, EngineName
from anydraft.errors import ArgumentError

if TYPE_CHECKING:
    from anydraft.speculator import Speculator

PACKAGED: Literal["tiny"] = "tiny"
"""In place of a draft's path: the one that comes with anydraft."""


@dataclass(frozen=True)
class Named:
    """Two models that are there."""

    target: Side
    draft: Side | None
    """``None``: the packaged one."""

    @classmethod
    def find(
        cls, target: Path, draft: Path, target_tokenizer: Path | None, draft_tokenizer: Path | None
    ) -> Named:
        """Look for them.

        Raises:
            ModelFileError: one of them, or of the tokenizers, is not there.
            ArgumentError: a tokenizer for the packaged draft, which has its own.
        """
        if str(draft) != PACKAGED or draft.exists():
            return cls(side(target, target_tokenizer), side(draft, draft_tokenizer))
        if draft_tokenizer is not None:
            raise ArgumentError(
                f"got --draft-tokenizer with the draft {PACKAGED}, which has its own; expected neither or "
                "another draft"
            )
        return cls(side(target, target_tokenizer), None)

    def load(
        self,
        *,
        dtype: DtypeName | None,
        device: str,
        threads: int | None,
        engine: EngineName,
        **options: Any,
    ) -> Speculator:
        """Load and join them; ``options`` are those of :class:`~anydraft.Speculator`.

        Raises:
            AnydraftError: as for :func:`~anydraft.cli.loading.load_pair` and the speculator.
        """
        if self.draft is not None:
            sides = self.target, self.draft
            big, small = load_pair(*sides, dtype=dtype, device=device, threads=threads, engine=engine)
        else:
            big = load_one(self.target, dtype=dtype, device=device, threads=threads, engine=engine)
            small = packaged_draft(big)
        from anydraft.speculator import Speculator

        return Speculator(big.model, small.model, big.tokenizer, small.tokenizer, **options)


def packaged_draft(target: Loaded) -> Loaded:
    """The draft that comes with anydraft, on the device of its target."""
    from anydraft import drafts

    model, tokenizer = drafts.load(PACKAGED)
    device: Any = getattr(target.model, "device", "cpu")  # llama.cpp's logits are in ordinary memory
    return Loaded("the tiny draft", model.to(device), tokenizer)
