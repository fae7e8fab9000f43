"""A draft for a target, from nothing: texts, a vocabulary, a model, and what it is worth."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from anydraft.bridge import special_tokens
from anydraft.bridge.bridge import Bridge
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import ArgumentError
from anydraft.loading.folders import load_tokenizer
from anydraft.models.loaded import masks_of
from anydraft.training import corpus, loop, tasks, writing
from anydraft.training.distil import Distiller, Lesson, text_lessons
from anydraft.training.measure import Agreement, Measured, agreement, measure
from anydraft.training.record import Point, Record, curve_svg
from anydraft.training.samples import Sample, Store
from anydraft.training.sizes import SIZES, new_model
from anydraft.training.tokenizer import train_tokenizer
from anydraft.training.wanted import Other, Wanted, Watcher

SAMPLING_SHARE = 0.5
"""Of the time that is given, for the target and the others to write texts."""

OTHERS_SHARE = 0.25
"""Of this time, or of the number of texts, what each other target gets."""

HELD_OUT = 32
"""Texts on held-out subjects by which the curve is drawn."""

PREFIXES = 900
"""Beginnings of the user's texts that the target may be asked to continue."""

MOST_TASKS = 20_000

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
    writer: PreTrainedModel | None = None,
    name: str = "target",
    sources: Sequence[str] = (),
    others: Sequence[Other] = (),
    watcher: Watcher | None = None,
) -> Record:
    """Train a draft into ``folder``: an ordinary model folder, with ``training/`` inside it.

    What ``training/`` has already is gone on from: texts, the vocabulary, a checkpoint. ``writer``: the
    target in another number format, which writes sooner. ``name`` and ``sources``: for the record.
    ``others``: targets that write a part of the texts too, so that the draft knows their tone.

    Raises:
        ArgumentError: a folder that was begun with other wishes.
    """
    made = _Training(
        target_model,
        target_tokenizer,
        list(texts),
        folder,
        wanted or Wanted(),
        watcher or Watcher(),
        list(others),
    )
    return made.run(writer or target_model, name, list(sources))


class _Written(NamedTuple):
    """Texts, and who wrote them."""

    by: Other
    samples: Sequence[Sample]


class _Training:
    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: AnyTokenizer,
        texts: list[str],
        folder: Path,
        wanted: Wanted,
        watcher: Watcher,
        others: list[Other],
    ) -> None:
        self.model, self.tokenizer, self.texts = model, tokenizer, texts
        self.folder, self.work = folder, folder / "training"
        self.wanted, self.watcher, self.others = wanted, watcher, others
        self.shape = wanted.shape or SIZES[wanted.size]
        self.work.mkdir(parents=True, exist_ok=True)

    def run(self, writer: PreTrainedModel, name: str, sources: list[str]) -> Record:
        self._check()
        began = time.monotonic()
        held, written = self._write(writer)
        sampled = self._spent("sampling", time.monotonic() - began)
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
        record.training_seconds = self._spent("training", time.monotonic() - began)
        model.save_pretrained(self.folder)
        tokenizer.save_pretrained(self.folder)
        self._keep(record)
        record.measured[name] = self._measure(model, tokenizer, steps, prompts=6)
        self._keep(record)
        return record

    def _spent(self, name: str, seconds: float) -> float:
        """Seconds of a stage, those of earlier runs included that ended it."""
        file = self.work / "seconds.json"
        known: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        known[name] = known.get(name, 0.0) + seconds
        file.write_text(json.dumps(known), encoding="utf-8")
        return known[name]

    def _check(self) -> None:
        """The same wishes as when the folder was begun."""
        file = self.work / "wanted.json"
        mark = {
            "shape": asdict(self.shape),
            "seed": self.wanted.seed,
            "characters": sum(map(len, self.texts)),
            **({"parallel": self.wanted.parallel} if self.wanted.parallel > 1 else {}),
            **({"others": [one.name for one in self.others]} if self.others else {}),
        }
        if file.exists() and json.loads(file.read_text(encoding="utf-8")) != mark:
            raise ArgumentError(
                f"got a folder {self.folder} in which another training was begun; give the same corpus, "
                "size, targets, seed and number of parallel tokens to go on with it, or another folder"
            )
        file.write_text(json.dumps(mark), encoding="utf-8")

    def _write(self, writer: PreTrainedModel) -> tuple[_Written, list[_Written]]:
        """Let everybody write: what the curve is drawn by, and what is learnt from each of them."""
        seed, wanted = self.wanted.seed, self.wanted
        prefixes = corpus.prefixes(self.texts, PREFIXES, seed)
        held = [task for kind in ("code", "prose") for task in tasks.held_out_tasks(HELD_OUT // 2, 7, kind)]
        target = Other(self.model, self.tokenizer, "target", writer)
        share = 1 - OTHERS_SHARE * len(self.others)
        if share <= 0:
            most = int(1 / OTHERS_SHARE) - 1
            raise ArgumentError(f"got {len(self.others)} other targets; expected {most} or fewer")
        self._let_write(target, "held-out", held, float("inf"))
        written = []
        for i, one in enumerate([target, *self.others]):
            part = OTHERS_SHARE if i else share
            texts = wanted.texts and max(1, int(part * wanted.texts))
            given = tasks.training_tasks(texts or MOST_TASKS, seed + i, prefixes)
            seconds = float("inf") if wanted.texts else 60 * wanted.minutes * SAMPLING_SHARE * part
            folder = f"samples-{i}" if i else "samples"
            if wanted.texts or not self._begun():
                self._let_write(one, folder, given, seconds)
            samples = [s for s in Store(self.work / folder) if texts is None or s.number < texts]
            written.append(_Written(one, samples))  # there may be more texts from before
        return _Written(target, list(Store(self.work / "held-out"))), written

    def _let_write(self, one: Other, folder: str, given: list[tasks.Task], seconds: float) -> None:
        began = time.monotonic()
        said = "the target writes" if one.model is self.model else f"{one.name} writes"

        def told(done: int, tokens: int) -> None:
            spent = time.monotonic() - began
            self.watcher.stage(
                said,
                min(1.0, max(done / len(given), spent / seconds)),
                f"{done} texts, {tokens} tokens, {tokens / max(spent, 1e-9):.0f} a second",
            )

        writing.draw(
            one.writer or one.model,
            one.tokenizer,
            given,
            Store(self.work / folder),
            seed=self.wanted.seed,
            seconds=seconds,
            longest=self.wanted.new_tokens,
            progress=told,
        )

    def _begun(self) -> bool:
        """Whether training has begun: then no more texts are drawn, because the order would be another."""
        return (self.work / "steps.json").exists()

    def _tokenizer(self, written: list[_Written]) -> PreTrainedTokenizerFast:
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

    def _lessons(self, tokenizer: PreTrainedTokenizerFast, written: _Written) -> list[Lesson]:
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
            raise ArgumentError("got no texts of the target to learn from; give more minutes or texts")
        return found

    def _steps(self, model: PreTrainedModel, lessons: list[Lesson]) -> int:
        """How many; decided once, so that a run that goes on keeps to it."""
        file = self.work / "steps.json"
        if file.exists():
            return int(json.loads(file.read_text(encoding="utf-8")))
        steps = self.wanted.steps
        if steps is None:
            trial, tried = copy.deepcopy(model), 4
            began = time.monotonic()
            course = loop.Course(lessons, [], tried, self.wanted.seed, masks=masks_of(trial))
            loop.train(trial, course, lambda *_: None)
            a_step = (time.monotonic() - began) / tried
            steps = max(10, int(60 * self.wanted.minutes * (0.9 - SAMPLING_SHARE) / a_step))
        file.write_text(json.dumps(steps), encoding="utf-8")
        return steps

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
