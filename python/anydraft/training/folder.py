"""What a training keeps beside its draft, so that a later run goes on with it: wishes, steps, times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict

from anydraft.errors import ArgumentError, ModelFileError

MODEL_FILES = ("config.json", "tokenizer.json", "*.safetensors", "pytorch_model*.bin")

WISHES, STEPS, SECONDS, CHECKPOINT = "wanted.json", "steps.json", "seconds.json", "checkpoint.pt"


class _Steps(TypedDict):
    steps: int


class Begun(_Steps, total=False):
    """How long a training is that has a checkpoint."""

    texts: int | None
    """As asked for; ``None`` where time decided, absent where it was not kept."""


def require_room(out: Path, *, resume: bool = True) -> None:
    """Raise :class:`ArgumentError` where a draft would be written over something else.

    ``resume``: whether a training that was begun in ``out`` is gone on with.
    """
    if not _begun(out):
        require_new(out)
    elif not resume:
        raise ArgumentError(f"got {out}, where a training was begun; go on with --resume, or name another")


def require_new(out: Path) -> None:
    """Raise :class:`ArgumentError` unless ``out`` is a folder without a draft or a training, or nothing."""
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"got {out}, which is no folder; expected a folder for the new draft")
    if _begun(out):
        raise ArgumentError(f"got {out}, where a training was begun; expected another folder")
    if found := [file.name for name in MODEL_FILES for file in out.glob(name)]:
        raise ArgumentError(
            f"got {out}, where a model is already ({found[0]}), which the new draft would replace; expected "
            "another folder"
        )


def _begun(out: Path) -> bool:
    return (out / "training" / WISHES).exists()


class TrainingFolder:
    """The folder ``training`` in that of a draft. Files appear whole or not at all."""

    def __init__(self, path: Path) -> None:
        """It is made when something is kept there."""
        self.path = path

    def require_same(self, wishes: dict[str, Any], texts: int | None) -> None:
        """Note what is wished; raise :class:`ArgumentError` if the training was begun with other wishes."""
        known: dict[str, Any] = self._read(WISHES) or {}
        if {**wishes, **known} != wishes:
            raise ArgumentError(
                f"got a folder {self.path.parent} in which another training was begun; give the same corpus, "
                "size, targets by the same names, seed and number of parallel tokens to go on with it, with "
                "the version that began it, or name another folder"
            )
        begun = self.begun
        if begun and texts is not None and texts != begun.get("texts", texts):
            number = begun["texts"] or "as many as the minutes allowed"
            raise ArgumentError(
                f"got {texts} texts for {self.path.parent}, where a training on {number} was begun; expected "
                "the same, or another folder"
            )
        self._write(WISHES, wishes)

    @property
    def begun(self) -> Begun | None:
        """How long the training is, if it has a checkpoint."""
        found = self._read(STEPS) if (self.path / CHECKPOINT).exists() else None
        return Begun(steps=found) if isinstance(found, int) else found

    def begin(self, steps: int, texts: int | None) -> None:
        """Note how long it is."""
        self._write(STEPS, Begun(steps=steps, texts=texts))

    def spent_on(self, stage: str, seconds: float = 0.0) -> float:
        """Seconds of a stage in all runs, now with so many more."""
        known: dict[str, float] = self._read(SECONDS) or {}
        if seconds:
            known[stage] = known.get(stage, 0.0) + seconds
            self._write(SECONDS, known)
        return known.get(stage, 0.0)

    def _read(self, name: str) -> Any:
        file = self.path / name
        try:
            return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
        except ValueError as error:
            raise ModelFileError(
                f"got {file}, which cannot be read ({error}); remove it to go on without what it says"
            ) from error

    def _write(self, name: str, content: Any) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / name, json.dumps(content))


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
