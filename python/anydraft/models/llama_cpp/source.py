"""A ``llama_cpp.Llama`` as what sequences are opened from; contexts that are no longer used serve again."""

from __future__ import annotations

import logging
import weakref
from collections.abc import MutableMapping
from typing import Any

from anydraft.models.base import Model
from anydraft.models.llama_cpp.context import Context
from anydraft.models.llama_cpp.objects import check, described
from anydraft.models.llama_cpp.sequences import LlamaCppBatch, LlamaCppModel
from anydraft.models.llama_cpp.trial import WINDOW, reads_trees

log = logging.getLogger(__name__)

_KEPT = 2
"""Idle contexts that wait for the next text; each has the memory of a cache."""

_tried: MutableMapping[Any, bool] = weakref.WeakKeyDictionary()
"""By Llama: :meth:`LlamaCppSource.reads_trees`."""


class LlamaCppSource:
    """Sequences of one model. Each that runs alone has a context, which takes the memory of its cache.

    Raises:
        ModelError: a model that cannot speak token by token.
    """

    def __init__(self, llama: Any) -> None:
        """``llama``: a ``llama_cpp.Llama``; no context is made before it is needed."""
        check(llama)
        self.llama = llama
        self._idle: list[Context] = []
        self._gave_up = False

    def sequence(self) -> LlamaCppModel:
        """An empty sequence; once it is dropped, its context serves the next."""
        check(self.llama)
        self.begin()
        return LlamaCppModel(int(self.llama.n_vocab()), int(self.llama.n_ctx()), self._take, self.reads_trees)

    def _take(self, model: LlamaCppModel) -> Context:
        """A context for as long as a model lives."""
        context = self._idle_one()
        weakref.finalize(model, _back, self._idle, [context]).atexit = False
        return context

    def _idle_one(self) -> Context:
        """An empty context with one sequence."""
        try:
            context = self._idle.pop()
        except IndexError:  # none is left; asked so, two threads never take the same
            context = Context(self.llama)
        context.clear()
        return context

    def reads_trees(self) -> bool:
        """Whether it reads trees as it reads lines; tried once for a Llama, on a few tokens.

        In a small context that is gone afterwards. Where that cannot be tried, it does not for now: the next
        decode tries again.
        """
        if self.llama not in _tried and not self._gave_up:
            try:
                _tried[self.llama] = reads_trees(Context(self.llama, window=WINDOW))
            except Exception as error:  # a decode needs no trees
                log.warning("trees were not tried (%s); lines are drafted", error)
                self._gave_up = True
        return _tried.get(self.llama, False)

    def begin(self) -> None:
        """A decode begins: what could not be tried may be tried again."""
        self._gave_up = False

    def batch(self, count: int = 1) -> LlamaCppBatch:
        """Room for ``count`` sequences in one context, and for more where more are added."""
        self.begin()
        if count > 1:
            return LlamaCppBatch(Context(self.llama, count), self.reads_trees)
        batch = LlamaCppBatch(self._idle_one(), self.reads_trees)
        weakref.finalize(batch, _back, self._idle, batch.held).atexit = False
        return batch

    def sequences(self, count: int) -> list[Model]:
        """``count`` empty sequences, in one batch where there are several."""
        if count == 1:
            return [self.sequence()]
        batch = self.batch(count)
        return [batch.add() for _ in range(count)]

    @property
    def bytes(self) -> int:
        """Bytes of all weights."""
        from llama_cpp import llama_cpp as api

        return int(api.llama_model_size(self.llama.model))

    @property
    def description(self) -> str:
        """What tells the file, and how it is run, from others."""
        given = self.llama.context_params
        run = f"{given.n_threads} and {given.n_threads_batch} threads"
        return f"{described(self.llama)}, {self.bytes} bytes, llama.cpp, {run}"


def _back(idle: list[Context], held: list[Context]) -> None:
    """Keep a context with one sequence for whoever is next; one that has grown goes, and what is too many."""
    idle.extend(context for context in held if len(context.lengths) == 1)
    del idle[_KEPT:]
