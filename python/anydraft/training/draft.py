"""A draft for a target, from nothing: texts, a vocabulary, a model, and what it is worth."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from anydraft.bridge import special_tokens
from anydraft.bridge.bridge import Bridge
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import ArgumentError
from anydraft.loading.folders import load_tokenizer
from anydraft.models.loaded import masks_of
from anydraft.training import loop, subjects, writers, writing
from anydraft.training.distil import Distiller, Lesson, text_lessons
from anydraft.training.measure import Agreement, Measured, agreement, measure
from anydraft.training.record import Point, Record, curve_svg
from anydraft.training.sizes import SIZES, new_model
from anydraft.training.tokenizer import train_tokenizer
from anydraft.training.wanted import Other, Wanted, Watcher
from anydraft.training.writers import Written

LONGEST = 320
"""Draft tokens of a text that are learnt."""

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
        ArgumentError: wishes that cannot be met, or a folder that was begun with others.
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
        writers.check_others(len(others))
        writers.shares(wanted, len(others))
        for one in (target, *others):  # before any of them writes for an hour
            writing.check(one.model, one.tokenizer)
        self.target, self.others, self.texts = target, others, texts
        self.model, self.tokenizer = target.model, target.tokenizer
        self.folder, self.work = folder, folder / "training"
        self.wanted, self.watcher = wanted, watcher
        self.shape = wanted.shape or SIZES[wanted.size]
        self.work.mkdir(parents=True, exist_ok=True)

    def run(self, sources: list[str]) -> Record:
        self._check()
        began, name = time.monotonic(), self.target.name
        desk = writers.Desk(self.work, self.wanted, self.watcher)
        held = desk.held_out(self.target)
        written = desk.written(self.target, self.others, self.texts)
        sampled = writers.spent_on(self.work, "sampling", time.monotonic() - began)
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
            sampling_seconds=sampled,
            parallel=self.wanted.parallel,
            others=[one.name for one in self.others],
        )
        began = time.monotonic()
        course = loop.Course(lessons, general, steps, self.wanted.seed, masks=masks_of(model))
        self._train(model, tokenizer, course, held_out, record)
        record.training_seconds = writers.spent_on(self.work, "training", time.monotonic() - began)
        model.save_pretrained(self.folder)
        tokenizer.save_pretrained(self.folder)
        self._keep(record)
        record.measured[name] = self._measure(model, tokenizer, steps, prompts=6)
        self._keep(record)
        return record

    def _check(self) -> None:
        """The same wishes as when the folder was begun, but for more steps."""
        file = self.work / "wanted.json"
        asked = repr([getattr(subjects, name) for name in sorted(vars(subjects)) if name.isupper()])
        mark = {
            "shape": asdict(self.shape),
            "seed": self.wanted.seed,
            "characters": sum(map(len, self.texts)),
            "parallel": self.wanted.parallel,
            "longest text": self.wanted.new_tokens,
            "subjects": hashlib.sha256(asked.encode()).hexdigest()[:16],
            "others": [[one.name, one.model.num_parameters()] for one in self.others],
        }
        if file.exists() and json.loads(file.read_text(encoding="utf-8")) != mark:
            raise ArgumentError(
                f"got a folder {self.folder} in which another training was begun; give the same corpus, "
                "size, targets, seed and number of parallel tokens to go on with it, with the version that "
                "began it, or name another folder"
            )
        steps, begun = self.wanted.steps, self._begun_with() or 0
        if steps is not None and steps < begun:
            raise ArgumentError(
                f"got {steps} steps for {self.folder}, where a training of {begun} was begun; expected at "
                "least as many, to go on with it, or another folder"
            )
        file.write_text(json.dumps(mark), encoding="utf-8")

    def _tokenizer(self, written: list[Written]) -> PreTrainedTokenizerFast:
        folder = self.work / "tokenizer"
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
        roles = special_tokens.bridge_roles(
            by.tokenizer, tokenizer, getattr(by.model, "generation_config", None)
        )
        bridge = Bridge(by.tokenizer, tokenizer, to_target=roles.to_target, to_draft=roles.to_draft)
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
        steps = self._begun_with() if self.wanted.steps is None else self.wanted.steps
        if steps is None:
            trial, tried = copy.deepcopy(model), 4
            began = time.monotonic()
            course = loop.Course(lessons, [], tried, self.wanted.seed, masks=masks_of(trial))
            loop.train(trial, course, lambda *_: None)
            a_step = (time.monotonic() - began) / tried
            steps = max(10, int(60 * self.wanted.minutes * (0.9 - writers.SAMPLING_SHARE) / a_step))
        (self.work / "steps.json").write_text(json.dumps(steps), encoding="utf-8")
        return steps

    def _begun_with(self) -> int | None:
        """The steps of the training that is gone on with."""
        file = self.work / "steps.json"
        return int(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None

    def _train(
        self,
        model: nn.Module,
        tokenizer: PreTrainedTokenizerFast,
        course: loop.Course,
        held_out: list[Lesson],
        record: Record,
    ) -> None:
        kept = self.work / "record.json"
        if kept.exists() and (self.work / "checkpoint.pt").exists():
            record.curve = Record.load(kept).curve
        quarters = {course.steps * i // 4 for i in range(1, 4)}

        def report(step: int, loss: float) -> None:
            found: Agreement = agreement(model, held_out)
            model.train()
            record.curve = [p for p in record.curve if p.step < step]
            record.curve.append(Point(step, loss, found))
            self._keep(record)
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

        loop.train(model, course, report, checkpoint=self.work / "checkpoint.pt")

    def _measure(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerFast, step: int, prompts: int
    ) -> list[Measured]:
        model.eval()
        self.watcher.stage("measuring the pair", 0.0)
        found = measure(self.model, self.tokenizer, model, tokenizer, prompts=prompts)
        self.watcher.measured(step, found)
        return found

    def _keep(self, record: Record) -> None:
        record.save(self.work / "record.json")
        (self.work / "curve.svg").write_text(curve_svg(record.curve), encoding="utf-8")
