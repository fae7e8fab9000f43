"""Models and tokenizers for a command, with a report of what takes so long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from anydraft.cli.engines import in_llama_cpp, open_llama
from anydraft.cli.options import DtypeName, EngineName
from anydraft.cli.waiting import Loading, Report
from anydraft.loading.names import look_for, model_named, short_name

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Side:
    """A model that is to be loaded."""

    name: str
    """What to call it on the terminal."""
    find: Callable[[Report], Path]
    tokenizer: Path | None = None
    """Where its tokenizer is, if not beside the model."""


def side(name: Path, tokenizer: Path | None = None) -> Side:
    """A model by name, and its tokenizer if it is elsewhere: looked for at once, loaded later.

    Raises:
        ModelFileError: one of them is not there.
    """
    look_for(name, weights=True)
    if tokenizer is not None:
        look_for(tokenizer, weights=False)
    return Side(short_name(name), lambda report: model_named(name, report), tokenizer)


@dataclass(frozen=True)
class Loaded:
    """A model that is."""

    name: str
    model: Any
    tokenizer: Any


def load_pair(
    target: Side,
    draft: Side,
    *,
    dtype: DtypeName | None,
    device: str,
    threads: int | None,
    engine: EngineName = "torch",
) -> list[Loaded]:
    """The target and the draft, in this order; ``engine``: what runs those that are GGUF files.

    Raises:
        ModelFileError: a model or a tokenizer that is not there or cannot be read.
        ArgumentError: no such device, or ``"llama-cpp"`` for what it cannot run.
        MissingPackageError: ``"llama-cpp"`` without its package.
    """
    return _load_all((target, draft), dtype, device, threads, engine)


def load_one(
    side: Side,
    *,
    dtype: DtypeName | None,
    device: str,
    threads: int | None,
    engine: EngineName = "torch",
) -> Loaded:
    """One model; arguments and errors as for :func:`load_pair`."""
    return _load_all((side,), dtype, device, threads, engine)[0]


def _load_all(
    sides: Sequence[Side], dtype: DtypeName | None, device: str, threads: int | None, engine: EngineName
) -> list[Loaded]:
    with Loading.shown() as shown:
        with shown.doing("starting torch"):
            place = _device(device, threads)
        known: dict[Any, Loaded] = {}
        reports = [shown.of(side.name) for side in sides]
        paths = [side.find(report) for side, report in zip(sides, reports, strict=True)]
        own = in_llama_cpp(paths, engine, dtype)
        return [
            _load(side, path, None if path in own else dtype or "auto", device, place, report, known)
            for side, path, report in zip(sides, paths, reports, strict=True)
        ]


def _load(
    side: Side,
    path: Path,
    dtype: DtypeName | None,
    device: str,
    place: torch.device,
    report: Report,
    known: dict[Any, Loaded],
) -> Loaded:
    """A model, by llama.cpp without a ``dtype``; one that is ``known`` by its path is not loaded twice."""
    import torch

    from anydraft.loading import folders

    key = path.resolve(), side.tokenizer
    if key not in known:
        tokenizer = folders.load_tokenizer(side.tokenizer or path, report)
        model: Any
        if dtype is None:
            report("opening in llama.cpp", 0.0)
            model = open_llama(path, device, torch.get_num_threads())
        else:
            kept: torch.dtype | Literal["auto"] = "auto" if dtype == "auto" else getattr(torch, dtype)
            model = folders.load_model(path, kept, place, report)
        known[key] = Loaded(side.name, model, tokenizer)
    report("ready", 1.0)
    return replace(known[key], name=side.name)


def check_sampling(given: Mapping[str, Any]) -> None:
    """Refuse sampling values before anything is loaded.

    Raises:
        ArgumentError: a value outside its domain.
    """
    from anydraft.engine.options import SamplingOptions

    SamplingOptions(**given)


def _device(name: str, threads: int | None) -> torch.device:
    import torch

    from anydraft.loading.devices import usable_device

    if threads is not None:
        torch.set_num_threads(threads)
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    return usable_device(name, "auto, cpu, or cuda")
