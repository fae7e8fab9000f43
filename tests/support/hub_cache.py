"""A cache of the Hugging Face Hub as huggingface_hub keeps it, made on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def add(
    cache: Path, repo: str, folder: Path, *names: str, revision: str = "main", commit: str = COMMIT
) -> Path:
    """Put the files of ``folder`` (all, or those of these names) into the cache; their snapshot."""
    root = cache / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.is_file() and (not names or file.name in names):
            shutil.copy(file, snapshot / file.name)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / revision).write_text(commit)
    return snapshot
