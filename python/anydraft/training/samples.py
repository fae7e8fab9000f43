"""Text drawn from a target, with its law at every place: what a draft is distilled from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from anydraft.bridge import prompts
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.errors import ModelFileError
from anydraft.training.tasks import Task

KEPT = 32
"""Likeliest target tokens whose probabilities are kept at every place."""

TEMPERATURES = (0.0, 0.7, 0.0, 0.7, 1.0)
"""At which texts are drawn, in turn. The laws that are kept are those of temperature 1 in any case."""

SHARD = 64
"""Texts in a file."""


@dataclass(frozen=True)
class Sample:
    """One prompt and what the target went on with."""

    number: int
    """Of the task, in the order they were given."""
    task: Task
    prompt: Tensor
    """int32 ``[p]``: target ids."""
    ids: Tensor
    """int32 ``[n]``: target ids; ends with an end token where the target ended."""
    top_ids: Tensor
    """int32 ``[n, K]``: the likeliest tokens at each of them."""
    top_laws: Tensor
    """float16 ``[n, K]``: their probabilities at temperature 1."""


class Store:
    """A folder of samples. Files appear whole, so that an interrupted run goes on with what is missing."""

    def __init__(self, folder: Path) -> None:
        """The folder is made if it is not there."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def files(self) -> list[Path]:
        """In the order they were written."""
        return sorted(self.folder.glob("samples-*.safetensors"))

    def numbers(self) -> set[int]:
        """Numbers of the tasks that are done."""
        return {int(number) for file in self.files for number in _read(file)["numbers"]}

    def add(self, samples: Sequence[Sample]) -> None:
        """Write one more file."""
        lengths = [(s.number, len(s.prompt), len(s.ids)) for s in samples]
        kinds = [(s.task.kind == "code", s.task.chat) for s in samples]
        texts = [s.task.text.encode() for s in samples]
        last = self.files[-1].stem.rpartition("-")[2] if self.files else "-1"
        path = self.folder / f"samples-{int(last) + 1:05}.safetensors"
        partial = path.with_suffix(".partial")
        tensors = {
            "numbers": torch.tensor([number for number, _, _ in lengths]),
            "lengths": torch.tensor([length for _, *length in lengths]),
            "kinds": torch.tensor(kinds),
            "texts": torch.frombuffer(bytearray(b"\0".join(texts)), dtype=torch.uint8),
            "prompt": torch.cat([s.prompt for s in samples]),
            "ids": torch.cat([s.ids for s in samples]),
            "top_ids": torch.cat([s.top_ids for s in samples]),
            "top_laws": torch.cat([s.top_laws for s in samples]),
        }
        save_file(tensors, partial)
        partial.replace(path)

    def __iter__(self) -> Iterator[Sample]:
        """All samples, by number."""
        found = [sample for file in self.files for sample in _samples(_read(file))]
        return iter(sorted(found, key=lambda sample: sample.number))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return dict(load_file(path))
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelFileError(
            f"got {path}, which cannot be read ({error}); remove it to draw it anew"
        ) from error


def _samples(read: dict[str, Any]) -> Iterator[Sample]:
    lengths = read["lengths"].tolist()
    prompts_ = read["prompt"].split([p for p, _ in lengths])
    parts = [read[name].split([n for _, n in lengths]) for name in ("ids", "top_ids", "top_laws")]
    texts = bytes(read["texts"].tolist()).split(b"\0")
    for i, number in enumerate(read["numbers"].tolist()):
        code, chat = read["kinds"][i].tolist()
        task = Task("code" if code else "prose", bool(chat), texts[i].decode())
        yield Sample(number, task, prompts_[i], parts[0][i], parts[1][i], parts[2][i])


def prompt_ids(tokenizer: AnyTokenizer, task: Task) -> list[int]:
    """A task as target ids."""
    if task.chat:
        return prompts.render(tokenizer, [{"role": "user", "content": task.text}])
    return prompts.encode_prompt(tokenizer, task.text)
