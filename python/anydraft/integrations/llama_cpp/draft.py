"""A draft model for ``llama_cpp.Llama(draft_model=...)``: any small model, whatever its vocabulary."""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from anydraft.bridge import special_tokens
from anydraft.bridge.pairing import bridge_of
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.engine.sides import generation_of, rows_of
from anydraft.engine.tokenizers import AnyModel, tokenizer_of
from anydraft.errors import ArgumentError, MissingPackageError
from anydraft.integrations.vllm.drafter import Counts, Drafter, Sequences
from anydraft.integrations.vllm.turns import opening_of
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.loading.names import model_named
from anydraft.models.ahead import ahead_by
from anydraft.models.batch import needed_batch
from anydraft.models.fast.runner import FastPasses
from anydraft.models.llama_cpp.objects import is_llama
from anydraft.models.llama_cpp.source import LlamaCppSource
from anydraft.models.transformers import TransformersModel
from anydraft.proposers.masks import check_masks

try:
    import llama_cpp
    from llama_cpp.llama_speculative import LlamaDraftModel
except ImportError as error:
    raise MissingPackageError(
        "got no package llama-cpp-python, which LlamaDraft is a part for; install it: "
        "pip install 'anydraft[llama-cpp]'"
    ) from error

log = logging.getLogger("anydraft.llama_cpp")

_ROWS = 4
"""Texts whose caches are kept: the one that goes on, and what came before it."""


class LlamaDraft(LlamaDraftModel):  # type: ignore[misc, unused-ignore]
    """What to give to ``llama_cpp.Llama(..., draft_model=anydraft.LlamaDraft("small.gguf"))``.

    The draft proposes text, greedily, in its own tokenizer and its own chat template, and the Llama verifies
    it as it verifies its own prompt lookup: each token is drawn by its own sampler, grammar included, and a
    proposal is kept as far as it agrees. So what is said is the Llama's alone. It costs what is new, and
    proposes nothing where it has measured that drafting does not pay. One for each Llama; its texts are read
    one at a time.

    Give the Llama ``logits_all=True`` if it is to read more than ``n_batch`` tokens: without it
    llama-cpp-python keeps the logits of so many only, and fails on longer texts with any draft model.

    Raises:
        ArgumentError: no such draft, or a model without its tokenizer.
        ModelFileError: a file that is not there or cannot be read.
        MissingPackageError: llama-cpp-python is not installed.
    """

    def __init__(
        self,
        draft: str | Path | AnyModel = "tiny",
        draft_tokenizer: AnyTokenizer | None = None,
        *,
        target_tokenizer: AnyTokenizer | None = None,
        num_draft_tokens: int = 5,
    ) -> None:
        """``draft``: the name of a model, as :func:`~anydraft.load_model` takes it (a GGUF file is run by
        llama.cpp), a ``llama_cpp.Llama``, or a model of transformers, which needs ``draft_tokenizer``.

        ``target_tokenizer``: by default that of the Llama's own file. ``num_draft_tokens``: how many of the
        Llama's tokens a proposal has at most.
        """
        if not isinstance(num_draft_tokens, int) or num_draft_tokens < 1:
            raise ArgumentError(
                f"got num_draft_tokens={num_draft_tokens!r}; expected a whole number, 1 or more"
            )
        self._draft: Any = model_named(draft) if isinstance(draft, (str, Path)) else draft
        self._tokenizers = target_tokenizer, draft_tokenizer
        self._most = num_draft_tokens
        self._drafter: Drafter | None = None
        self._llama: Callable[[], Any] = lambda: None
        self._window = 0
        self._failed = False
        self._read = np.zeros(0, np.int32)

    @property
    def counts(self) -> Counts:
        """What happened so far."""
        return Counts() if self._drafter is None else self._drafter.counts

    def __call__(self, input_ids: npt.NDArray[np.intc], /, **kwargs: Any) -> npt.NDArray[np.intc]:
        """Ids that may follow ``input_ids`` int32 ``[n]``; called by ``Llama.generate``.

        A draft that fails is reported to the log, and proposes nothing from then on.

        Raises:
            ArgumentError, ModelError, PairError, TokenizerError: at the first call, the pair will not do; or
                another Llama asks than the first.
        """
        drafter = self._drafter_for(_caller())
        nothing = np.zeros(0, np.intc)
        if self._failed:
            return nothing
        ids = np.asarray(input_ids, dtype=np.int32)
        before, self._read = self._read, ids.copy()
        follows = 0 < len(before) < len(ids) and np.array_equal(ids[: len(before)], before)
        try:
            with torch.no_grad():
                found = drafter.propose(
                    [ids], [len(ids) - len(before) if follows else 1], [self._window - len(ids)]
                )
        except KeyboardInterrupt:
            drafter.forget()  # what was half done
            raise
        except Exception:
            self._failed = True
            log.exception("anydraft: the draft failed; the Llama goes on without it")
            return nothing
        return np.asarray(found[0], dtype=np.intc)

    def _drafter_for(self, llama: Any) -> Drafter:
        """What drafts for the Llama that asks, made when it first does."""
        if self._drafter is None:
            self._drafter = self._made(llama)
            self._llama = weakref.ref(llama)
        elif self._llama() is not llama:
            raise ArgumentError("got a second Llama for one LlamaDraft; expected one for each: make another")
        return self._drafter

    def _made(self, llama: Any) -> Drafter:
        target = tokenizer_of(llama, self._tokenizers[0], "target")
        model, draft = self._loaded(llama)
        ends = generation_of(llama), generation_of(model)
        bridge = bridge_of((target, draft), ends, (int(llama.n_vocab()), rows_of(model)))
        roles = special_tokens.special_roles(target, ends[0])
        self._window = int(llama.n_ctx())
        sequences = _sequences(model)
        check_masks(ahead_by(sequences.model).tolist(), bridge)
        return Drafter(
            bridge,
            sequences,
            opening_of(draft, rows_of(model), roles, bridge.target.decode),
            most_tokens=self._most,
            most_requests=1,
        )

    def _loaded(self, llama: Any) -> tuple[Any, AnyTokenizer]:
        """The draft and its tokenizer; a GGUF file is opened as the Llama that it drafts for was."""
        given, tokenizer = self._draft, self._tokenizers[1]
        if isinstance(given, Path) and given.suffix == ".gguf":
            params = llama.context_params
            model = llama_cpp.Llama(
                str(given),
                n_ctx=llama.n_ctx(),
                n_threads=params.n_threads,
                n_threads_batch=params.n_threads_batch,
                n_gpu_layers=llama.model_params.n_gpu_layers,
                verbose=False,
            )
            return model, tokenizer_of(model, tokenizer, "draft")
        if isinstance(given, Path):
            return load_model(given), tokenizer or load_tokenizer(given)
        return given, tokenizer_of(given, tokenizer, "draft")


def _sequences(model: Any) -> Sequences:
    """Several texts of the draft, whichever engine runs it."""
    if is_llama(model):
        return LlamaCppSource(model).batch(_ROWS)
    return needed_batch(TransformersModel(model, FastPasses(drafts=True)))


def _caller() -> Any:
    """The Llama whose ``generate`` asks: it does not hand itself over."""
    llama = sys._getframe(2).f_locals.get("self")
    if not is_llama(llama):
        raise ArgumentError(
            "got a call from outside of a Llama; expected it as llama_cpp.Llama(draft_model=...)"
        )
    return llama
