"""The border to libraries that read files: whatever they raise becomes one error of anydraft."""

from __future__ import annotations

import errno
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anydraft.errors import AnydraftError, ModelFileError
from anydraft.loading.plain_reasons import plain_reason

_LONGEST = 300
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def reading(path: str | Path, expected: str) -> Iterator[None]:
    """Inside the block, other people's code reads ``path``, which should be ``expected`` ("a causal model").

    Loaders meet damaged files with errors of any kind: of the struct module, of safetensors, TypeErrors,
    even panics. All become one sentence. What is not the file's fault passes as it is: errors of anydraft, a
    full disk, no memory.

    Raises:
        ModelFileError: anything went wrong; the cause is kept.
    """
    try:
        yield
    except (AnydraftError, MemoryError):
        raise
    except BaseException as error:
        # what a panic of a Rust library becomes is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if getattr(error, "errno", None) in _DISK_FULL:
            raise
        code = _own_code(Path(path)) if "trust_remote_code" in str(error) else None
        if code is not None:
            raise ModelFileError(
                f"got {path}, which brings code of its own ({code}); anydraft runs no code from a folder. If "
                "you trust it, load it yourself with trust_remote_code=True and hand the objects to "
                "Speculator or custom_generate"
            ) from error
        reason = plain_reason(Path(path))
        if reason is not None:
            raise ModelFileError(f"got {path}, where {expected} is expected; {reason}") from error
        raise ModelFileError(
            f"got {path}, where {expected} cannot be read ({_said(error)}); expected whole files of one that "
            "transformers knows. If a download was interrupted, download it again"
        ) from error


def require_whole(path: str | Path, missing: Collection[str]) -> None:
    """Refuse a model with ``missing`` weights: where no file has them, transformers makes up random numbers.

    Raises:
        ModelFileError: there is such a weight.
    """
    if missing:
        raise ModelFileError(
            f"got {path}, whose files lack {len(missing)} weights of its model ({min(missing)}, ...); "
            "expected all of them. If a download was interrupted, download it again"
        )


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none that can be read."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _said(error: BaseException) -> str:
    """What an error says, in one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    told = f"{name}: {text}" if text else name
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}..."


def _own_code(folder: Path) -> str | None:
    """The Python file that a folder's configs name for its classes; ``None`` if there is none."""
    for name in ("config.json", "tokenizer_config.json"):
        try:
            classes: Any = read_object(folder / name)["auto_map"].values()
        except (KeyError, AttributeError):
            continue
        for found in classes:
            first = next((one for one in found if one), None) if isinstance(found, list) else found
            if isinstance(first, str):
                return f"{first.split('--')[-1].rsplit('.', 1)[0].replace('.', '/')}.py"
    return None
