"""Two tiny models in folders, as a user of the command line has them."""

from __future__ import annotations

from pathlib import Path

import small


def save(folder: Path) -> tuple[Path, Path]:
    """Write a byte-fallback target and a byte-level draft; their folders."""
    target, draft = folder / "target", folder / "draft"
    for path, tokenizer, seed in ((target, small.byte_fallback(), 0), (draft, small.byte_level(), 1)):
        small.model(tokenizer, seed=seed).save_pretrained(path)
        tokenizer.save_pretrained(path)
    return target, draft
