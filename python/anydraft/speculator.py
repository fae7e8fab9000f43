"""The front door: two models, two tokenizers, one decode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor

from anydraft.bridge import prompts, special_tokens
from anydraft.bridge.bridge import Bridge
from anydraft.bridge.prompts import Ids, Messages, Prompt
from anydraft.chat import Conversation
from anydraft.decoding.asynchronous import events
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.events import Event, Output, collect
from anydraft.decoding.protocols import TargetLaw
from anydraft.decoding.sequence import Row
from anydraft.decoding.stop_rules import criteria_rules, stop_rules, time_rules, written_out
from anydraft.decoding.stopping import Stopping, StopRule
from anydraft.decoding.stream import Stream
from anydraft.engine.options import SamplingKeywords, SamplingOptions, check_names
from anydraft.errors import ArgumentError, PairError
from anydraft.models.base import Model
from anydraft.models.batch import renew
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.twin import forget
from anydraft.models.in_order import InOrder, RowInOrder
from anydraft.models.joint import Joint
from anydraft.models.logits import ProcessedLaw
from anydraft.models.tensor_parallel import team_of
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import DraftWeights, Weights, pass_bytes
from anydraft.proposers.base import Strategy
from anydraft.proposers.draft_head import DraftHead, Rows, Wish
from anydraft.proposers.ngram_index import Recall
from anydraft.proposers.registry import Method, Strategies, check_method
from anydraft.sampling.laws import Greedy, Randomness, SeededRandomness
from anydraft.sampling.rejection import Rule
from anydraft.scheduling.mixture import LOOKUP, Directors, Times
from anydraft.scheduling.plan import Plan
from anydraft.scheduling.plan_store import find

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Speculator:
    """A draft model that speeds up a target model with another tokenizer.

    What the target would say is unchanged: token for token at temperature 0, in law when sampling. Neither
    the models nor the tokenizers are changed, and one speculator may be used again and again; each decode has
    caches of its own.

    Raises:
        TokenizerError: a tokenizer that cannot be expressed in bytes.
        ModelError: a model that cannot be rolled back, or one in training mode.
        PairError: logits narrower than the tokenizer's vocabulary.
        ArgumentError: an unknown method, or a draft length below 1.
    """

    def __init__(
        self,
        target_model: Any,
        draft_model: Any,
        target_tokenizer: Any,
        draft_tokenizer: Any,
        *,
        method: Method = "auto",
        rule: Rule | None = None,
        num_draft_tokens: int | Literal["auto"] = "auto",
        draft_head: Wish | Rows = "auto",
        plan: Plan | None = None,
        weights: Weights = "auto",
        draft_weights: DraftWeights = "auto",
        compile: bool = False,  # noqa: A002  # the word that users know
        bridge: Bridge | None = None,
    ) -> None:
        """Join two models.

        ``rule``: verify a block as one (``"block"``, accepts a little more) or token by token (``"token"``,
        cheaper); by default what pays for the method.
        ``num_draft_tokens`` is the number of draft tokens per block; ``"auto"`` learns from every round what
        pays, from none on, and keeps what it learnt for the next decode. ``method="auto"`` with it also looks
        up in the text itself. Both follow measured times, unless a decode is given a ``seed``: then no clock
        has a say, and nothing is kept. ``draft_head``: compute all of the draft's
        logits (``"full"``), only those of tokens that the target has too (``"shared"``), those of the ids
        given, or what suits the text; see :class:`~anydraft.proposers.draft_head.DraftHead`. ``plan``: what
        :func:`anydraft.plan` measured, from which ``"auto"`` starts; by default one that was made on this
        machine before. ``weights``: what runs the models' passes. ``"model"``: the models themselves, called
        as transformers calls them. ``"shared"``: where there is some, code of our own that computes the same
        on the same weights. ``"packed"``: on a CPU linear layers also have a second, packed copy of their
        weights, by which a block costs what one token costs; by default where there is room.
        ``draft_weights``: the same of the draft alone, if it shall differ; by default its copy has one byte a
        number (``"int8"``) where that is quicker: the draft's law is known whatever it is, and the output's
        law stays what it is. ``compile``: have PyTorch compile both models' passes over a few tokens, with
        static shapes; it needs a C++ compiler, and takes some seconds to a minute at first. ``bridge``: one
        that was built or loaded before for these tokenizers, best the :attr:`bridge` of another speculator:
        one made without roles does not know which control tokens mean the same.
        """
        check_method(method, rule)
        if num_draft_tokens != "auto" and (not isinstance(num_draft_tokens, int) or num_draft_tokens < 1):
            raise ArgumentError(
                f"got num_draft_tokens={num_draft_tokens!r}; expected a whole number, 1 or more, or 'auto'"
            )
        if weights not in get_args(Weights) or draft_weights not in get_args(DraftWeights):
            raise ArgumentError(
                f"got weights={weights!r} and draft_weights={draft_weights!r}; expected "
                f"one of {get_args(Weights)}, and of the draft also 'int8'"
            )
        self.method: Method = method
        self.num_draft_tokens = num_draft_tokens
        self._models = target_model, draft_model
        self._tokenizers = target_tokenizer, draft_tokenizer
        generation = [getattr(model, "generation_config", None) for model in self._models]
        self.end_ids = frozenset(special_tokens.end_ids(target_tokenizer, generation[0]))
        if bridge is None:
            roles = special_tokens.bridge_roles(target_tokenizer, draft_tokenizer, *generation)
            bridge = Bridge(
                target_tokenizer, draft_tokenizer, to_target=roles.to_target, to_draft=roles.to_draft
            )
        else:
            bridge.check(target_tokenizer, draft_tokenizer)
        self.bridge = bridge
        sizes = len(bridge.target), len(bridge.draft)
        self._opening = prompts.opening(draft_tokenizer)
        self._passes = FastPasses(weights, compile)
        drafts = FastPasses(weights if draft_weights == "auto" else draft_weights, compile, drafts=True)
        self._draft_head = DraftHead(draft_model, bridge, draft_head, drafts)
        sequences = [TransformersModel(target_model, self._passes), TransformersModel(draft_model, drafts)]
        for role, model, size in zip(("target", "draft"), sequences, sizes, strict=True):
            if model.vocab_size < size:
                raise PairError(
                    f"got a {role} model with {model.vocab_size} logits and a tokenizer with {size} ids; "
                    "expected at least as many logits. Is it the model's own tokenizer, or were tokens added "
                    "to it without model.resize_token_embeddings?"
                )
        self._strategies = Strategies(bridge, sequences[0], sequences[1], rule)
        sizes = pass_bytes(target_model), pass_bytes(draft_model, self._draft_head.weights)
        cost = sizes[1] / sizes[0]
        self._plan = plan
        self._directors = Directors(method, num_draft_tokens, cost, self._planned)
        self._device = str(sequences[0].device)
        self._described = [
            f"{type(model).__name__}, {size} bytes, {sequence.dtype}"
            for model, size, sequence in zip(self._models, sizes, sequences, strict=True)
        ]
        if compile:
            for sequence in (sequences[0], self._draft_head.sequence()):
                sequence.warm()

    def generate(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
        caches: PairCaches | None = None,
        **options: Unpack[SamplingKeywords],
    ) -> Output:
        """Decode to the end; arguments and errors as for :meth:`stream`."""
        stream = self.stream(prompt, messages=messages, input_ids=input_ids, caches=caches, **options)
        return collect(stream, stream.prompt_ids, stream.stats)

    def stream(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
        caches: PairCaches | None = None,
        **options: Unpack[SamplingKeywords],
    ) -> Stream:
        """Decode round by round.

        The prompt is one of ``prompt`` (text; the target's tokenizer adds what it adds to any text),
        ``messages`` (a chat; each side renders it with its own template) and ``input_ids`` (target ids
        ``[n]`` or ``[1, n]``). ``caches`` keeps what both models have read for the next decode; see
        :class:`Conversation`. ``options``: how tokens are drawn and when the decode ends, see
        :class:`~anydraft.SamplingOptions`; or ``generation_config``, one of transformers, which other
        options go before: see :func:`~anydraft.models.generation_config.keywords_of`.

        A decode ends at an end token (not before ``min_new_tokens``), with the token that completes one of
        the ``stop`` strings, after ``max_time`` seconds, or where one of transformers' ``stopping_criteria``
        says so. A draft with a shorter window than the text reads a suffix of it.

        Raises:
            ArgumentError: not exactly one prompt, an empty one, one longer than the target's window, an
                option that there is not, or one outside its domain.
            PairError: the method cannot work with this pair.
        """
        check_names(options)
        given = self.prompt(prompt, messages=messages, input_ids=input_ids)
        own = getattr(self._models[0], "generation_config", None)
        wanted = SamplingOptions.of(options, own=own, prompt_length=len(given.ids))
        if caches is None:
            caches = PairCaches(*self.sequences())
        else:
            renew(caches.target)
            self._draft_head.renew(caches.draft)
        end_ids = wanted.end_ids(self.end_ids, caches.target.vocab_size)
        law = wanted.law(len(given.ids), end_ids)
        rules = [*stop_rules(wanted.stop, written_out(self.bridge.target)), *time_rules(wanted.max_time)]
        window = caches.target.window
        room = None if window is None else window - len(given.ids)
        if room is not None and room < 1:
            raise ArgumentError(
                f"got a prompt of {len(given.ids)} tokens; the target's window holds {window} and one must "
                "be free. Shorten the prompt."
            )
        row = self.row(
            given,
            caches,
            law=law if law.pure else _in_order(law, given.ids, caches.target.device),
            draft_law=wanted.draft_law().without_prefix,
            randomness=Greedy() if law.greedy else SeededRandomness(wanted.seed),
            times="measured" if wanted.seed is None or law.greedy else "nominal",
            max_new_tokens=wanted.max_new_tokens,
            room=room,
            rules=[*rules, *criteria_rules(wanted.stopping_criteria)],
            end_ids=end_ids,
        )
        return Stream(row, caches, team_of(self._models[0]))

    async def astream(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
        caches: PairCaches | None = None,
        **options: Unpack[SamplingKeywords],
    ) -> AsyncIterator[Event]:
        """As :meth:`stream`, for servers: ``async for event in pair.astream(...)``.

        Each round runs in a thread, so the event loop is never blocked. A task that is cancelled ends the
        decode after the round that runs; ``caches`` may be used again at once. Errors are those of
        :meth:`stream`.
        """

        def start() -> Stream:
            return self.stream(prompt, messages=messages, input_ids=input_ids, caches=caches, **options)

        async with aclosing(events(start)) as found:
            async for event in found:
                yield event

    def chat(self, messages: Messages = (), **options: Unpack[SamplingKeywords]) -> Conversation:
        """A conversation that keeps both models' caches between turns; ``options`` as for :meth:`stream`."""
        return Conversation(self, messages, **options)

    def row(
        self,
        prompt: Prompt,
        caches: PairCaches,
        *,
        law: TargetLaw | RowInOrder,
        draft_law: Callable[[Tensor], Tensor],
        randomness: Randomness,
        max_new_tokens: int,
        times: Times = "measured",
        room: int | None = None,
        rules: Sequence[StopRule] = (),
        end_ids: frozenset[int] | None = None,
    ) -> Row:
        """One row of a decode, for a loop of your own: see :func:`anydraft.decoding.loop.decode`.

        ``times``: by which ``"auto"`` decides what is drafted; with ``"nominal"`` ones a seed repeats.

        Raises:
            PairError: the method cannot work with this pair.
        """
        session = self.bridge.session(prompt.view, prompt.shared)
        view = session.view()
        trims = self.suit(caches.draft, view)
        together = _rows_together(caches.target)
        if times == "nominal":
            director = self._directors.repeatable(rows=together)
        else:
            head = "shared" if trims else "full"
            greedy = isinstance(randomness, Greedy)
            director = self._directors.get(greedy=greedy, rows=together, head=head)
        for method in director.methods:  # now, or the round that needs it would seem slow
            with suppress(PairError):
                self._strategies.get(method)
        stopping = Stopping(self.end_ids if end_ids is None else end_ids, max_new_tokens, room, tuple(rules))
        make = partial(
            Row,
            caches.target,
            strategies=self._strategies.get,
            director=director,
            session=session,
            law=law,
            randomness=randomness,
            stopping=stopping,
            decode_bytes=self.bridge.target.decode,
            prompt=prompt.ids,
            recall=self._recall(prompt.ids),
        )
        return caches.begin(view, draft_law, make)

    def _recall(self, ids: list[int]) -> Recall | None:
        """The prompt as text to be looked up in, where the method does so."""
        mixed = self.method == "auto" and self.num_draft_tokens == "auto"
        return Recall(self.bridge.target.decode(ids)) if mixed or self.method == LOOKUP else None

    def suit(self, draft: Model, view: list[int]) -> bool:
        """Have the draft compute the part of its head that suits a text; whether that is not the whole."""
        return self._draft_head.set_for(draft, view)

    @property
    def identity(self) -> dict[str, str]:
        """What tells this pair, on this machine, from others."""
        marks, (target, draft) = self.bridge.fingerprints, self._described
        told = {"target tokenizer": marks[0], "draft tokenizer": marks[1], "target": target, "draft": draft}
        return {**told, "device": self._device, "threads": str(torch.get_num_threads())}

    def _planned(self, kind: str) -> Plan | None:
        """What was measured for greedy or for sampling decodes."""
        if self._plan is not None:
            return self._plan if self._plan.kind == kind else None
        return find(self.identity, kind)

    def prompt(
        self,
        text: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
    ) -> Prompt:
        """One of a text, a chat and target ids, as both sides read it; see :meth:`stream`."""
        target, draft = self._tokenizers
        prompts.check_one(prompt=text, messages=messages, input_ids=input_ids)
        if messages is not None:
            return Prompt(prompts.render(target, messages), prompts.render_for_draft(draft, messages), [])
        if text is not None:
            return self.plain_prompt(prompts.encode_prompt(target, text))
        assert input_ids is not None  # as one of them is given
        return self.plain_prompt(prompts.plain_ids(input_ids, len(self.bridge.target)))

    def refresh(self) -> None:
        """Have everything that was made of the models' weights made anew.

        Not needed after what PyTorch counts (``copy_``, ``load_state_dict``, any in-place arithmetic), nor
        after adapters are merged, weights averaged or synchronised through ``.data``: each decode looks for
        that when it begins, see :class:`~anydraft.models.fast.fingerprint.Fingerprint`. Only a change through
        ``.data`` of a handful of single numbers of a matrix could be missed, or one of a module's settings
        (its ``scaling``, say). Caches that you keep are yours to drop: what they hold was computed with the
        weights of then.
        """
        for model in self._models:
            forget(model)
        self._draft_head.refresh()

    def strategy(self, method: str) -> Strategy:
        """The strategy of a method; raises :class:`PairError` if it cannot work with this pair."""
        return self._strategies.get(method)

    def plain_prompt(self, ids: list[int]) -> Prompt:
        """Target ids that the draft reads as its own tokenizer writes them."""
        return Prompt(ids, list(self._opening), ids)

    def sequences(self) -> tuple[Model, Model]:
        """Both models with empty caches."""
        return TransformersModel(self._models[0], self._passes), self._draft_head.sequence()

    def draft_sequences(self, count: int) -> list[Model]:
        """Sequences of the draft for as many rows, with empty caches."""
        return self._draft_head.sequences(count)


def _in_order(law: ProcessedLaw, ids: list[int], device: torch.device) -> RowInOrder:
    """The same processors, called as plain decoding calls them."""
    shown = torch.tensor([ids], dtype=torch.int64, device=device)
    return InOrder(law.processors, "greedy" if law.greedy else "sample", shown).rows[0]


def _rows_together(target: Model) -> int:
    """How many sequences share the target's passes."""
    batch = target.batch if isinstance(target, Joint) else None
    return 1 if batch is None else len(batch)
