"""What a user names: a folder, a file, a repository of the Hugging Face Hub, or a packaged model."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from anydraft.loading.hub import HubName
from anydraft.loading.packaged import PackagedName, packaged
from anydraft.loading.paths import escaped, expanded, model_at, tokenizer_at
from anydraft.loading.progress import Progress, silent

TINY: Literal["tiny"] = "tiny"
"""The draft that comes with anydraft."""


def tiny_folder() -> Path:
    """The folder of the packaged draft."""
    return Path(str(files("anydraft").joinpath("drafts", TINY)))


def model_named(name: str | os.PathLike[str], progress: Progress = silent) -> Path:
    """The folder or GGUF file of a model; what is not here yet is downloaded.

    ``name``: a transformers folder, a GGUF file, ``org/name`` or ``org/name@revision`` of the Hugging Face
    Hub, ``org/name/file.gguf``, ``tiny``, ``smollm2`` or ``gemma3``. A path that exists goes first.

    Raises:
        ModelFileError: there is none; for the Hub, see :class:`~anydraft.loading.hub.HubName`.
    """
    told, hub = _elsewhere(name, progress)
    if told is not None:
        return told
    return model_at(name if hub is None else hub.fetched("model"))


def tokenizer_named(name: str | os.PathLike[str], progress: Progress = silent) -> Path:
    """The folder or file of a tokenizer, named as a model is, or a tokenizer's own file; no weights.

    Raises:
        ModelFileError: there is none.
    """
    told, hub = _elsewhere(name, progress)
    if told is not None:
        return told
    return tokenizer_at(name if hub is None else hub.fetched("tokenizer"))


def look_for(name: str | os.PathLike[str], *, weights: bool) -> Path:
    """Refuse what is not there, without reading or downloading more than its configs; where those are.

    A single file of the Hub is downloaded: it is what was named.

    ``weights``: whether it is to be a model, and not a tokenizer alone.

    Raises:
        ModelFileError: as for :func:`model_named` and :func:`tokenizer_named`.
    """
    told, hub = _elsewhere(name, silent)
    if told is not None:
        return told
    if hub is not None:
        return hub.fetched("config" if weights else "tokenizer")
    return model_at(name) if weights else tokenizer_at(name)


def short_name(name: str | os.PathLike[str]) -> str:
    """What to call it: the last part of a path or of a repository's id, as it can be printed."""
    hub = None if _there(name) else HubName.of(name)
    if hub is not None:
        return escaped(Path(hub.file or hub.repo).name)
    return escaped(Path(name).name or os.fspath(name))


def _elsewhere(name: str | os.PathLike[str], progress: Progress) -> tuple[Path | None, HubName | None]:
    """A model with a name of its own, or a repository; neither for a path that is there."""
    if _there(name):
        return None, None
    text = os.fspath(name)
    if text == TINY:
        return tiny_folder(), None
    for known in get_args(PackagedName):
        if text == known:
            return packaged(known, progress), None
    return None, HubName.of(name)


def _there(name: str | os.PathLike[str]) -> bool:
    try:
        return expanded(name).exists()
    except (OSError, ValueError):  # no file can have this name: the error says so later
        return False
