"""A draft for a target, from nothing: texts, a vocabulary, a model, and what it is worth."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from anydraft.bridge.pairing import bridge_of
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import AnydraftError, ArgumentError
from anydraft.loading.folders import load_tokenizer
from anydraft.models.loaded import masks_of
from anydraft.training import loop, subjects, writers, writing
from anydraft.training.distil import Distiller, Lesson, text_lessons
from anydraft.training.folder import CHECKPOINT, TrainingFolder, require_room
from anydraft.training.measure import Agreement, Measured, agreement, measure
from anydraft.training.record import Point, Record, curve_svg
from anydraft.training.sizes import SIZES, new_model
from anydraft.training.tokenizer import train_tokenizer
from anydraft.training.wanted import Other, Wanted, Watcher
from anydraft.training.writers import Written

LONGEST = 320
"""Draft tokens of a text that are learnt."""

RECORD, SO_FAR = "record.json", "record-so-far.json"
"""Of the draft that is there, and of a training that is not done."""

GENERAL = 2_000_000
"""Characters of the corpus by which the vocabulary is made; and as many draft tokens, at most, are learnt."""


def train_draft(
    target_model: PreTrainedModel,
    target_tokenizer: AnyTokenizer,
    texts: Sequence[str],
    folder: Path,
    wanted: Wanted | None = None,
    *,
    name: str = "target",
    sources: Sequence[str] = (),
    others: Sequence[Other] = (),
    watcher: Watcher | None = None,
) -> Record:
    """Train a draft into ``folder``: an ordinary model folder, with ``training/`` inside it.

    What ``training/`` has already is gone on from: texts, the vocabulary, a checkpoint; with more steps than
    before, also where it was done: the rate rises again and falls to zero at the new end. ``name`` and
    ``sources``: for the record. ``others``: targets that write a part of the texts too, so that the draft
    helps them as well.

    Raises:
        ArgumentError: wishes that cannot be met, a folder that was begun with others, or one with a model.
    """
    target = Other(target_model, target_tokenizer, name)
    made = _Training(target, list(others), list(texts), folder, wanted or Wanted(), watcher or Watcher())
    return made.run(list(sources))


class _Training:
    def __init__(
        self,
        target: Other,
        others: list[Other],
        texts: list[str],
        folder: Path,
        wanted: Wanted,
        watcher: Watcher,
    ) -> None:
        wanted.check()
        require_room(folder)
        writers.check_others(len(others))
        writers.shares(wanted, len(others))
        for one in (target, *others):  # before any of them writes for an hour
            writing.check(one.model, one.tokenizer)
        self.target, self.others, self.texts = target, others, texts
        self.model, self.tokenizer = target.model, target.tokenizer
        self.folder, self.work = folder, TrainingFolder(folder / "training")
        self.wanted, self.watcher = wanted, watcher
        self.shape = wanted.shape or SIZES[wanted.size]

    def run(self, sources: list[str]) -> Record:
        self._check()
        name = self.target.name
        with self._timed("sampling"):
            desk = writers.Desk(self.work, self.wanted, self.watcher)
            held = desk.held_out(self.target)
            written = desk.written(self.target, self.others, self.texts)
        tokenizer = self._tokenizer(written)
        lessons = [lesson for one in written for lesson in self._lessons(tokenizer, one)]
        held_out = self._lessons(tokenizer, held)
        general = text_lessons(tokenizer, self.texts[::7], LONGEST, GENERAL // LONGEST)
        model = new_model(self.shape, tokenizer, self.wanted.seed, self.wanted.parallel)
        model.to(next(self.model.parameters()).device)  # type: ignore[arg-type]
        steps = self._steps(model, lessons)
        record = Record(
            size=self.wanted.size,
            target=name,
            corpus=sources,
            seed=self.wanted.seed,
            vocabulary=len(tokenizer),
            parameters=sum(p.numel() for p in model.parameters()),
            texts=len(lessons),
            tokens=sum(int((lesson.weights.sum(-1) > 0).sum()) for lesson in lessons),
            steps=steps,
            sampling_seconds=self.work.spent_on("sampling"),
            parallel=self.wanted.parallel,
            others=[one.name for one in self.others],
        )
        course = loop.Course(lessons, general, steps, self.wanted.seed, masks=masks_of(model))
        with self._timed("training"):
            self._train(model, tokenizer, course, held_out, record)
        record.training_seconds = self.work.spent_on("training")
        model.save_pretrained(self.folder)
        tokenizer.save_pretrained(self.folder)
        record.save(self.work.path / RECORD)
        (self.work.path / SO_FAR).unlink(missing_ok=True)
        record.measured[name] = self._measure(model, tokenizer, steps, prompts=6)
        record.save(self.work.path / RECORD)
        return record

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        """Note what a stage took, also where it is interrupted."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.work.spent_on(stage, time.monotonic() - began)

    def _check(self) -> None:
        """The same wishes as when the folder was begun, but for more steps."""
        asked = repr([getattr(subjects, name) for name in sorted(vars(subjects)) if name.isupper()])
        wishes = {
            "target": [self.target.name, self.model.num_parameters()],
            "shape": asdict(self.shape),
            "seed": self.wanted.seed,
            "characters": sum(map(len, self.texts)),
            "corpus": _mark(self.texts),
            "parallel": self.wanted.parallel,
            "longest text": self.wanted.new_tokens,
            "subjects": _mark([asked]),
            "others": [[one.name, one.model.num_parameters()] for one in self.others],
        }
        self.work.require_same(wishes, self.wanted.texts)
        if self.wanted.texts is None and self.work.begun:
            self.wanted = replace(self.wanted, texts=self.work.begun.get("texts"))

    def _tokenizer(self, written: list[Written]) -> PreTrainedTokenizerFast:
        folder = self.work.path / "tokenizer"
        if not (folder / "tokenizer.json").exists():
            said = []
            for by, samples in written:
                reader = TokenizerSource.of(by.tokenizer, "target").load()
                said += [reader.decode(s.ids.tolist()).decode(errors="replace") for s in samples]
            room, general = GENERAL, []
            for text in self.texts[::11]:
                general.append(text[: min(room, 20_000)])
                room -= len(general[-1])
                if room <= 0:
                    break
            train_tokenizer([*said * 3, *general], self.shape.vocabulary).save_pretrained(folder)
        made: PreTrainedTokenizerFast = load_tokenizer(folder)
        return made

    def _lessons(self, tokenizer: PreTrainedTokenizerFast, written: Written) -> list[Lesson]:
        by, samples = written
        bridge = bridge_of((by.tokenizer, tokenizer), (getattr(by.model, "generation_config", None), None))
        distiller = Distiller(bridge, tokenizer)
        found = []
        for i, sample in enumerate(samples):
            if i % 50 == 0:
                self.watcher.stage("laws in the draft's vocabulary", i / len(samples))
            lesson = distiller.lesson(sample, LONGEST)
            if lesson is not None:
                found.append(lesson)
        if not found:
            raise ArgumentError(
                f"got no texts of {by.name} to learn from; expected some. Give more minutes or texts"
            )
        return found

    def _steps(self, model: PreTrainedModel, lessons: list[Lesson]) -> int:
        """How many: as asked, or decided once, so that a run that goes on keeps to it."""
        if self.wanted.steps is not None:
            return self.wanted.steps
        if self.work.begun:
            return self.work.begun["steps"]
        trial, tried = copy.deepcopy(model), 4
        began = time.monotonic()
        course = loop.Course(lessons, [], tried, self.wanted.seed, masks=masks_of(trial))
        loop.train(trial, course, lambda *_: None)
        a_step = (time.monotonic() - began) / tried
        return max(10, int(60 * self.wanted.minutes * (0.9 - writers.SAMPLING_SHARE) / a_step))

    def _train(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerFast,
        course: loop.Course,
        held_out: list[Lesson],
        record: Record,
    ) -> None:
        checkpoint, so_far = self.work.path / CHECKPOINT, self.work.path / SO_FAR
        kept = so_far if so_far.exists() else self.work.path / RECORD
        if kept.exists() and checkpoint.exists():
            record.curve = [p for p in Record.load(kept).curve if p.step <= course.steps]
        quarters = {course.steps * i // 4 for i in range(1, 4)}

        def report(step: int, loss: float) -> None:
            found: Agreement = agreement(model, held_out)
            model.train()
            record.curve = [p for p in record.curve if p.step < step]
            record.curve.append(Point(step, loss, found))
            self.work.begin(course.steps, self.wanted.texts)
            record.save(so_far)
            (self.work.path / "curve.svg").write_text(curve_svg(record.curve), encoding="utf-8")
            self.watcher.point(record.curve[-1])
            self.watcher.stage(
                "training",
                step / course.steps,
                f"loss {loss:.3f}, held out {found.loss:.3f}, accepted {found.sampled:.0%} at temperature 1, "
                f"{found.greedy:.0%} greedy",
            )
            if any(step - loop.EVERY < quarter <= step for quarter in quarters):
                self._measure(model, tokenizer, step, prompts=1)
                model.train()

        loop.train(model, course, report, checkpoint=checkpoint)

    def _measure(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerFast, step: int, prompts: int
    ) -> list[Measured]:
        model.eval()
        self.watcher.stage("measuring the pair", 0.0)
        try:
            found = measure(self.model, self.tokenizer, model, tokenizer, prompts=prompts)
        except AnydraftError as error:  # of a target that ends at once, for one: it can be trained for
            self.watcher.unmeasured(step, str(error))
            return []
        self.watcher.measured(step, found)
        return found


def _mark(texts: Sequence[str]) -> str:
    """What tells these texts from others."""
    return hashlib.sha256("\0".join(texts).encode(errors="surrogatepass")).hexdigest()[:16]
