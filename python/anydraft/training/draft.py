"""A draft for a target, from nothing: texts, a vocabulary, a model, and what it is worth."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

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
from anydraft.training.wanted import Wanted, Watcher

SAMPLING_SHARE = 0.5
"""Of the time that is given, for the target to write texts."""

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
    watcher: Watcher | None = None,
) -> Record:
    """Train a draft into ``folder``: an ordinary model folder, with ``training/`` inside it.

    What ``training/`` has already is gone on from: texts, the vocabulary, a checkpoint. ``writer``: the
    target in another number format, which writes sooner. ``name`` and ``sources``: for the record.

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
    )
    return made.run(writer or target_model, name, list(sources))


class _Training:
    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: AnyTokenizer,
        texts: list[str],
        folder: Path,
        wanted: Wanted,
        watcher: Watcher,
    ) -> None:
        self.model, self.tokenizer, self.texts = model, tokenizer, texts
        self.folder, self.work = folder, folder / "training"
        self.wanted, self.watcher = wanted, watcher
        self.shape = wanted.shape or SIZES[wanted.size]
        self.work.mkdir(parents=True, exist_ok=True)

    def run(self, writer: PreTrainedModel, name: str, sources: list[str]) -> Record:
        self._check()
        began = time.monotonic()
        store, held = self._write(writer)
        sampled = self._spent("sampling", time.monotonic() - began)
        tokenizer = self._tokenizer(store)
        lessons = self._lessons(tokenizer, self._asked(store))
        held_out = self._lessons(tokenizer, list(held))
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
        }
        if file.exists() and json.loads(file.read_text(encoding="utf-8")) != mark:
            raise ArgumentError(
                f"got a folder {self.folder} in which another training was begun; give the same corpus, "
                "size, seed and number of parallel tokens to go on with it, or another folder"
            )
        file.write_text(json.dumps(mark), encoding="utf-8")

    def _write(self, writer: PreTrainedModel) -> tuple[Store, Store]:
        """Let the target write: what is learnt, and what the curve is drawn by."""
        seed, wanted = self.wanted.seed, self.wanted
        seconds = float("inf") if wanted.texts else 60 * wanted.minutes * SAMPLING_SHARE
        prefixes = corpus.prefixes(self.texts, PREFIXES, seed)
        made = tasks.training_tasks(wanted.texts or MOST_TASKS, seed, prefixes)
        held = [task for kind in ("code", "prose") for task in tasks.held_out_tasks(HELD_OUT // 2, 7, kind)]
        stores = Store(self.work / "held-out"), Store(self.work / "samples")
        began = time.monotonic()

        def told(done: int, tokens: int) -> None:
            spent = time.monotonic() - began
            self.watcher.stage(
                "the target writes",
                min(1.0, max(done / len(made), spent / seconds)),
                f"{done} texts, {tokens} tokens, {tokens / max(spent, 1e-9):.0f} a second",
            )

        draw: Any = writing.draw
        for store, given, room in ((stores[0], held, float("inf")), (stores[1], made, seconds)):
            if store.folder.name == "held-out" or wanted.texts or not self._begun():
                draw(
                    writer,
                    self.tokenizer,
                    given,
                    store,
                    seed=seed,
                    seconds=room,
                    longest=wanted.new_tokens,
                    progress=told,
                )
        return stores[1], stores[0]

    def _begun(self) -> bool:
        """Whether training has begun: then no more texts are drawn, because the order would be another."""
        return (self.work / "steps.json").exists()

    def _asked(self, store: Store) -> list[Sample]:
        """As many texts as are asked for; there may be more from before."""
        most = self.wanted.texts
        return [sample for sample in store if most is None or sample.number < most]

    def _tokenizer(self, store: Store) -> PreTrainedTokenizerFast:
        folder = self.work / "tokenizer"
        if not (folder / "tokenizer.json").exists():
            reader = TokenizerSource.of(self.tokenizer, "target").load()
            said = [reader.decode(s.ids.tolist()).decode(errors="replace") for s in self._asked(store)]
            room, general = GENERAL, []
            for text in self.texts[::11]:
                general.append(text[: min(room, 20_000)])
                room -= len(general[-1])
                if room <= 0:
                    break
            train_tokenizer([*said * 3, *general], self.shape.vocabulary).save_pretrained(folder)
        made: PreTrainedTokenizerFast = load_tokenizer(folder)
        return made

    def _lessons(self, tokenizer: PreTrainedTokenizerFast, samples: Sequence[Sample]) -> list[Lesson]:
        roles = special_tokens.bridge_roles(
            self.tokenizer, tokenizer, getattr(self.model, "generation_config", None)
        )
        bridge = Bridge(self.tokenizer, tokenizer, to_target=roles.to_target, to_draft=roles.to_draft)
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
