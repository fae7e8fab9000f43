"""Two models and two tokenizers as a decode needs them: prompts, sequences, caches, rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from anydraft.bridge import prompts, special_tokens
from anydraft.bridge.bridge import Bridge
from anydraft.bridge.pairing import bridge_of, check_bridge
from anydraft.bridge.prompts import Ids, Messages, Prompt
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.protocols import TargetLaw
from anydraft.decoding.sequence import Row
from anydraft.decoding.stopping import Stopping, StopRule
from anydraft.engine.forks import FORKS
from anydraft.engine.kinds import Directors, Kind
from anydraft.engine.places import Places
from anydraft.engine.sides import draft_side, generation_of, rows_of, target_side
from anydraft.engine.tokenizers import AnyModel, tokenizer_of
from anydraft.errors import ArgumentError, PairError
from anydraft.memory.lookup import Lookup
from anydraft.memory.memory import MemoryChoice, check_memory, chosen
from anydraft.models.base import Model
from anydraft.models.in_order import OrderedRow
from anydraft.models.joint import Joint
from anydraft.models.llama_cpp.objects import is_llama
from anydraft.models.loaded import plain_of
from anydraft.models.prefill import Given, prefill_of
from anydraft.models.weights import DraftWeights, Weights
from anydraft.proposers.base import Strategy
from anydraft.proposers.branches import Trees
from anydraft.proposers.draft_head import Rows, Wish
from anydraft.proposers.registry import AnyMethod, Method, Strategies, check_method
from anydraft.sampling.laws import Greedy, Randomness, SeededRandomness
from anydraft.sampling.rejection import Rule
from anydraft.scheduling.directors import LOOKUP, NONE, Times
from anydraft.scheduling.plan import Plan

_UNCROWDED = 1
"""Rows up to which passes have trees. On a CPU a pass over eight tokens costs little more than over one; the
lines of two rows are more already, and a tree's candidates would cost what they bring, or more."""


class Engine:
    """What a speculator decodes with, for loops of your own: :attr:`Speculator.engine`.

    It keeps the models and the tokenizers as they were given, and what was learnt of the pair.
    """

    def __init__(
        self,
        target_model: AnyModel,
        draft_model: AnyModel,
        target_tokenizer: AnyTokenizer | None,
        draft_tokenizer: AnyTokenizer | None,
        *,
        method: Method,
        rule: Rule | None,
        num_draft_tokens: int | Literal["auto"],
        draft_head: Wish | Rows,
        plan: Plan | None,
        weights: Weights,
        draft_weights: DraftWeights,
        compile: bool,  # noqa: A002  # the word that users know
        memory: MemoryChoice,
        bridge: Bridge | None,
        tree: Trees,
    ) -> None:
        """Arguments and errors as for :class:`~anydraft.Speculator`."""
        FORKS.runs()
        check_method(method, rule)
        check_memory(memory)
        if num_draft_tokens != "auto" and (not isinstance(num_draft_tokens, int) or num_draft_tokens < 1):
            raise ArgumentError(
                f"got num_draft_tokens={num_draft_tokens!r}; expected a whole number, 1 or more, or 'auto'"
            )
        if compile and is_llama(target_model) and is_llama(draft_model):
            raise ArgumentError(
                "got compile=True and two models that llama.cpp runs; expected one of transformers, whose "
                "passes PyTorch can compile. Leave it out"
            )
        if weights not in get_args(Weights) or draft_weights not in get_args(DraftWeights):
            raise ArgumentError(
                f"got weights={weights!r} and draft_weights={draft_weights!r}; expected "
                f"one of {get_args(Weights)}, and of the draft also 'int8'"
            )
        if tree not in get_args(Trees):
            raise ArgumentError(f"got tree={tree!r}; expected one of {get_args(Trees)}")
        self.tree: Trees = tree
        self._memory = memory
        self.models = target_model, draft_model
        target_tokenizer = tokenizer_of(target_model, target_tokenizer, "target")
        draft_tokenizer = tokenizer_of(draft_model, draft_tokenizer, "draft")
        self.tokenizers = target_tokenizer, draft_tokenizer
        generation = [generation_of(model) for model in self.models]
        self._target = target_side(target_model, weights, compile)
        rows = self._target.vocab_size, rows_of(draft_model)
        if bridge is None:
            bridge = bridge_of(self.tokenizers, generation, rows)
        else:
            check_bridge(bridge, self.tokenizers, rows)
        self.bridge = bridge
        sizes = len(bridge.target), len(bridge.draft)
        ends = special_tokens.end_ids(target_tokenizer, generation[0])
        self.end_ids = frozenset(token for token in ends if token < rows[0])
        self._opening = [token for token in prompts.opening(draft_tokenizer) if token < rows[1]]
        own = weights if draft_weights == "auto" and not is_llama(draft_model) else draft_weights
        self._draft = draft_side(draft_model, bridge, draft_head, own, compile)
        sides = self._target, self._draft
        for role, side, size in zip(("target", "draft"), sides, sizes, strict=True):
            if side.vocab_size < size:
                raise PairError(
                    f"got a {role} model with {side.vocab_size} logits and a tokenizer with {size} ids; "
                    "expected at least as many logits. Is it the model's own tokenizer, or were tokens added "
                    "to it without model.resize_token_embeddings?"
                )
        self._strategies = Strategies(bridge, *sides, rule)
        # As if the draft's were no bytes: that shortens its passes by less, and its reading of prompts not at
        # all. A draft thought too dear is tried a little later, one thought too cheap reads prompts in vain.
        cost, ahead = self._draft.bytes / self._target.bytes, 1 + len(self._draft.masks)
        self.directors = Directors(
            method, num_draft_tokens, cost, ahead, plan, partial(getattr, self, "identity")
        )
        self.window = self._target.window
        """The longest text of the target, prompt included, in tokens; ``None`` if unlimited."""
        for side in sides:
            side.warm()

    def prompt(
        self,
        text: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
    ) -> Prompt:
        """One of a text, a chat and target ids, as both sides read it; see :meth:`Speculator.stream`."""
        target = self.tokenizers[0]
        prompts.check_one(prompt=text, messages=messages, input_ids=input_ids)
        if messages is not None:
            return Prompt(self._read(prompts.render(target, messages)), self.shown(messages), [])
        if text is not None:
            return self.plain_prompt(prompts.encode_prompt(target, text))
        assert input_ids is not None  # as one of them is given
        return self.plain_prompt(prompts.plain_ids(input_ids, self._target.vocab_size))

    def shown(self, messages: Messages) -> list[int]:
        """A chat as the draft reads it: in its own template, without tokens that it has no row for."""
        ids = prompts.render_for_draft(self.tokenizers[1], messages)
        return [token for token in ids if token < self._draft.vocab_size]

    def plain_prompt(self, ids: list[int]) -> Prompt:
        """Target ids that the draft reads as its own tokenizer writes them, but for pictures and sounds."""
        shared = self._read([token for token in ids if token not in self._target.placeholders])
        return Prompt(ids, list(self._opening), shared)

    def _read(self, ids: list[int]) -> list[int]:
        """A prompt's ids, if the target has a row for each."""
        strange = next((token for token in ids if token >= self._target.vocab_size), None)
        if strange is not None:
            raise ArgumentError(
                f"got a prompt with token {strange}, for which the target has no row; expected ids below "
                f"{self._target.vocab_size}. Take its text out of the prompt"
            )
        return ids

    def read_by_the_target(self, inputs: Mapping[str, Any]) -> tuple[Prompt, Given]:
        """What a processor made of one prompt, as both sides read it; see :meth:`Speculator.stream`."""
        if is_llama(self.models[0]):
            raise ArgumentError(
                "got inputs for a model that llama.cpp runs; expected a text, messages or input_ids, because "
                "it reads text alone here"
            )
        given = prefill_of(plain_of(self.models[0]), inputs)
        return self.plain_prompt(given.ids), given

    def sequences(self) -> tuple[Model, Model]:
        """Both models with empty caches."""
        return self._target.sequence(), self._draft.sequence()

    def target_sequences(self, count: int) -> list[Model]:
        """Sequences of the target for as many rows, with empty caches, in one batch if that is possible."""
        return self._target.sequences(count)

    def draft_sequences(self, count: int) -> list[Model]:
        """Sequences of the draft for as many rows, with empty caches, in one batch where that is possible."""
        return self._draft.sequences(count)

    def places(self) -> Places:
        """Where rows come and go."""
        return Places(self._target, self._draft)

    def caches(self) -> PairCaches:
        """Empty caches of both models; what a decode of this pair has read stays in them for the next."""
        caches = PairCaches(*self.sequences())
        caches.owner = self
        return caches

    def renew(self, caches: PairCaches) -> None:
        """Have caches that were kept go on with the weights that the models have now.

        Raises:
            ArgumentError: what are no caches, or those of another pair.
        """
        PairCaches.check(caches, self)
        self._target.renew(caches.target)
        self._draft.renew(caches.draft)

    def row(
        self,
        prompt: Prompt,
        caches: PairCaches,
        *,
        law: TargetLaw | OrderedRow,
        draft_law: Callable[[Tensor], Tensor],
        randomness: Randomness,
        max_new_tokens: int,
        times: Times = "measured",
        room: int | None = None,
        rules: Sequence[StopRule] = (),
        end_ids: frozenset[int] | None = None,
        method: AnyMethod | None = None,
        together: int | None = None,
        remembers: bool = True,
    ) -> Row:
        """One row of a decode, for a loop of your own: see :func:`anydraft.decoding.loop.decode`.

        ``times``: by which ``"auto"`` decides what is drafted; with ``"nominal"`` ones a seed repeats. But a
        row alone reads trees, and one that shares passes reads lines: by the same law and the same seed their
        samples differ.
        ``method``: how this row is drafted, if not as the engine's others; ``"none"``: not at all.
        ``together``: how many rows share its passes, if not all that are in its batch now; see
        :meth:`direct`. ``remembers``: whether it has the memory there is; one that a seed is to repeat,
        whatever was said before, must not.

        Raises:
            ArgumentError: an unknown method, or caches of another pair.
            PairError: the method cannot work with this pair.
        """
        PairCaches.check(caches, self)
        method = self.directors.checked(method)
        session = self.bridge.session(prompt.view, prompt.shared)
        view = session.view()
        trims = self.suit(caches.draft, view)
        told, together = together is not None, together or _rows_together(caches.target)
        blind = not getattr(law, "reads_prefix", True)
        trees = self.tree == "auto" and method not in (LOOKUP, NONE) and blind
        kind = Kind(isinstance(randomness, Greedy), together, trims, trees and together <= _UNCROWDED)
        directs = self.directors.find(times, kind, method)
        for name in directs.methods:  # now, or the round that needs it would seem slow
            with suppress(PairError):
                self._strategies.get(name)
        looked_up = self.directors.looks_up(method) and together == 1
        memory = chosen(self._memory, times, kind.name) if remembers else None
        if looked_up and memory is not None and isinstance(randomness, SeededRandomness):
            randomness = randomness.apart(memory.number_decode())  # or what its draws brought may be there
        stopping = Stopping(self.end_ids if end_ids is None else end_ids, max_new_tokens, room, tuple(rules))
        make = partial(
            Row,
            caches.target,
            strategies=self._strategies.get,
            director=directs,
            session=session,
            law=law,
            randomness=randomness,
            stopping=stopping,
            decode_bytes=self.bridge.target.decode,
            prompt=prompt.ids,
            joint=together > 1,
            trees=trees,
            crowded=together > _UNCROWDED,
            lookup=Lookup(self.bridge.target.decode(prompt.ids), memory) if looked_up else None,
            memory=memory,
        )
        row = caches.begin(view, draft_law, make)
        if not told:  # else :meth:`direct` tells how many there are when they are known
            row.try_trees()
        return row

    def suit(self, draft: Model, view: list[int]) -> bool:
        """Have the draft compute the part of its head that suits a text; whether that is not the whole."""
        return self._draft.suit(draft, view)

    def strategy(self, method: str) -> Strategy:
        """The strategy of a method; raises :class:`PairError` if it cannot work with this pair."""
        return self._strategies.get(method)

    @property
    def identity(self) -> dict[str, str]:
        """What tells this pair, on this machine, from others."""
        marks, target, draft = self.bridge.fingerprints, self._target, self._draft
        told = {"target tokenizer": marks[0], "draft tokenizer": marks[1]}
        told |= {"target": target.description, "draft": draft.description}
        told |= {"trees": self.tree, "device": str(target.device)}
        return {**told, "threads": str(torch.get_num_threads())}

    def direct(self, row: Row, together: int, method: AnyMethod | None = None) -> None:
        """From now on a row is one of so many whose passes are joint: rows come and go.

        ``method``: with which it was made. Not for a row that a seed is to repeat: what is drafted for it
        must not depend on who shares its passes, so it stays a row by itself.
        """
        method = self.directors.checked(method)
        trims = row.draft is not None and self._draft.trims(row.draft.model)
        kind = Kind(isinstance(row.randomness, Greedy), together, trims, row.trees and together <= _UNCROWDED)
        row.director = self.directors.find("measured", kind, method)
        row.joint = together > 1 and method != LOOKUP
        row.crowded = together > _UNCROWDED
        row.try_trees()

    def refresh(self) -> None:
        """See :meth:`anydraft.Speculator.refresh`."""
        for side in (self._target, self._draft):
            side.refresh()


def _rows_together(target: Model) -> int:
    """How many sequences share the target's passes."""
    batch = target.batch if isinstance(target, Joint) else None
    return 1 if batch is None else len(batch)
