"""The public API: two models, two tokenizers, one decode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.prompts import Ids, Messages, check_one
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.chat import Conversation
from anydraft.decoding.asynchronous import events
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.events import Event, Output, collect
from anydraft.decoding.stream import Stream
from anydraft.engine.begin import begin
from anydraft.engine.engine import Engine
from anydraft.engine.options import SamplingKeywords, SamplingOptions, check_names
from anydraft.engine.tokenizers import AnyModel
from anydraft.errors import ArgumentError
from anydraft.memory.memory import MemoryChoice
from anydraft.models.tensor_parallel import team_of
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import DraftWeights, Weights
from anydraft.proposers.branches import Trees
from anydraft.proposers.draft_head import Rows, Wish
from anydraft.proposers.registry import Method
from anydraft.sampling.rejection import Rule
from anydraft.scheduling.plan import Plan

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
        ArgumentError: an unknown method or memory, or a draft length below 1.
    """

    def __init__(
        self,
        target_model: AnyModel,
        draft_model: AnyModel,
        target_tokenizer: AnyTokenizer | None = None,
        draft_tokenizer: AnyTokenizer | None = None,
        *,
        method: Method = "auto",
        rule: Rule | None = None,
        num_draft_tokens: int | Literal["auto"] = "auto",
        draft_head: Wish | Rows = "auto",
        tree: Trees = "auto",
        plan: Plan | None = None,
        weights: Weights = "auto",
        draft_weights: DraftWeights = "auto",
        compile: bool = False,  # noqa: A002  # the word that users know
        memory: MemoryChoice = "process",
        bridge: Bridge | None = None,
    ) -> None:
        """Join two models.

        A model is one of transformers, or a ``llama_cpp.Llama``, whose tokenizer may be left out: its file
        has it. Either may be run by either.

        ``rule``: verify a block as one (``"block"``, accepts a little more) or token by token (``"token"``,
        cheaper); by default what pays for the method.
        ``num_draft_tokens`` is the number of draft tokens per block; ``"auto"`` learns from every round what
        pays, from none on, and keeps what it learnt for the next decode. ``method="auto"`` with it also looks
        up in the text itself, and in ``memory``. Both follow measured times, unless a decode is given a
        ``seed``: then no clock has a say, and nothing is kept. ``draft_head``: compute all of the draft's
        logits (``"full"``), only those of tokens that the target has too (``"shared"``), those of the ids
        given, or what suits the text; see :class:`~anydraft.proposers.draft_head.DraftHead`. ``tree``: verify
        what came close beside what was drafted, in the same pass (``"auto"``, where the target can read a
        tree of tokens), or only that (``"off"``); see :mod:`anydraft.proposers.branches`. ``plan``: what
        :func:`anydraft.plan` measured, from which ``"auto"`` starts; by default one that was made on this
        machine before. ``weights``: what runs the models' passes. ``"model"``: the models themselves, called
        as transformers calls them. ``"unpacked"``: where there is some, our own code that computes the same
        on the same weights. ``"packed"``: on a CPU linear layers also have a second, packed copy of their
        weights, by which a block costs what one token costs; by default where there is room.
        ``draft_weights``: the same of the draft alone, if it shall differ; by default its copy has one byte a
        number (``"int8"``) where that is quicker: the draft's law is known whatever it is, and the output's
        law stays what it is. ``compile``: have PyTorch compile both models' passes over a few tokens, with
        static shapes; it needs a C++ compiler, and takes some seconds to a minute at first. ``memory``: where
        lookups search beside the text itself, and where prompts and what was said after them go.
        ``"process"``: one for this process, of 16 MiB of text at most; a sample that a ``seed`` is to repeat
        does without. ``"off"``: none, nothing of a text outlives its decode. Or an :class:`anydraft.Memory`
        of your own, which seeded samples use too: they repeat where it is as it was. ``bridge``: one that was
        built or loaded before for these tokenizers, best the :attr:`bridge` of another speculator: one made
        without roles does not know which control tokens mean the same.
        """
        self.engine = Engine(
            target_model,
            draft_model,
            target_tokenizer,
            draft_tokenizer,
            method=method,
            rule=rule,
            num_draft_tokens=num_draft_tokens,
            draft_head=draft_head,
            tree=tree,
            plan=plan,
            weights=weights,
            draft_weights=draft_weights,
            compile=compile,
            memory=memory,
            bridge=bridge,
        )
        self.method: Method = method
        self.num_draft_tokens = num_draft_tokens

    @property
    def bridge(self) -> Bridge:
        """The two tokenizers, joined; give it to another speculator of these tokenizers."""
        return self.engine.bridge

    def generate(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
        inputs: Mapping[str, Any] | None = None,
        caches: PairCaches | None = None,
        **options: Unpack[SamplingKeywords],
    ) -> Output:
        """Decode to the end; arguments and errors as for :meth:`stream`."""
        stream = self.stream(
            prompt, messages=messages, input_ids=input_ids, inputs=inputs, caches=caches, **options
        )
        return collect(stream, stream.prompt_ids, stream.stats)

    def stream(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
        inputs: Mapping[str, Any] | None = None,
        caches: PairCaches | None = None,
        **options: Unpack[SamplingKeywords],
    ) -> Stream:
        """Decode round by round.

        The prompt is one of ``prompt`` (text; the target's tokenizer adds what it adds to any text),
        ``messages`` (a chat; each side renders it with its own template), ``input_ids`` (target ids
        ``[n]`` or ``[1, n]``) and ``inputs``: what a processor or tokenizer of transformers makes of a text,
        with pictures, sounds or types of tokens, which the target reads as its own ``generate`` does, and the
        draft without them.
        ``caches``, of :meth:`Engine.caches`, keep what both models have read for the next decode, as a
        :class:`Conversation` does. ``options``: how tokens are drawn and when the decode
        ends, see :class:`~anydraft.SamplingOptions`; or ``generation_config``, one of transformers, which
        other options go before: see :func:`~anydraft.models.generation_config.keywords_of`.

        A decode ends at an end token (not before ``min_new_tokens``), with the token that completes one of
        the ``stop`` strings, after ``max_time`` seconds, or where one of transformers' ``stopping_criteria``
        says so. A draft with a shorter window than the text reads a suffix of it.

        Raises:
            ArgumentError: not exactly one prompt, an empty one, one longer than the target's window,
                caches of another pair, an option that there is not, or one outside its domain.
            PairError: the method cannot work with this pair.
        """
        check_names(options)
        engine = self.engine
        prefill = types = None
        if inputs is None:
            given = engine.prompt(prompt, messages=messages, input_ids=input_ids)
        else:
            check_one(prompt=prompt, messages=messages, input_ids=input_ids, inputs=inputs)
            given, (_, prefill, types) = engine.read_by_the_target(inputs)
        own = getattr(engine.models[0], "generation_config", None)
        wanted = SamplingOptions.of(options, own=own, prompt_length=len(given.ids))
        if caches is not None and (prefill is not None or types is not None):
            more = "token_type_ids" if prefill is None else "pictures or sounds"
            raise ArgumentError(
                f"got {more} and caches of an earlier decode; expected one of them, because such a prompt is "
                "read as a whole. Leave caches out"
            )
        if caches is None:
            caches = engine.caches()
            if isinstance(caches.target, TransformersModel):
                caches.target.prefill = prefill
                caches.target.token_types = None if types is None else types.to(caches.target.device)
        else:
            engine.renew(caches)
        row = begin(engine, given, caches, wanted)
        return Stream(row, caches, team_of(engine.models[0]))

    async def astream(
        self,
        prompt: str | None = None,
        *,
        messages: Messages | None = None,
        input_ids: Ids | None = None,
        inputs: Mapping[str, Any] | None = None,
        caches: PairCaches | None = None,
        **options: Unpack[SamplingKeywords],
    ) -> AsyncIterator[Event]:
        """As :meth:`stream`, for servers: ``async for event in pair.astream(...)``.

        Each round runs in a thread, so the event loop is never blocked. A task that is cancelled ends the
        decode after the round that runs; ``caches`` may be used again at once. Errors are those of
        :meth:`stream`.
        """

        def start() -> Stream:
            return self.stream(
                prompt, messages=messages, input_ids=input_ids, inputs=inputs, caches=caches, **options
            )

        async with aclosing(events(start)) as found:
            async for event in found:
                yield event

    def chat(self, messages: Messages = (), **options: Unpack[SamplingKeywords]) -> Conversation:
        """A conversation that keeps both models' caches between turns; ``options`` as for :meth:`stream`."""
        return Conversation(self, self.engine.caches(), messages, **options)

    def refresh(self) -> None:
        """Have everything that was made of the models' weights made anew.

        Not needed after what PyTorch counts (``copy_``, ``load_state_dict``, any in-place arithmetic), nor
        after adapters are merged, weights averaged or synchronised through ``.data``: each decode looks for
        that when it begins, see :class:`~anydraft.models.fast.fingerprint.Fingerprint`. Only a change through
        ``.data`` of a handful of single numbers of a matrix could be missed, or one of a module's settings
        (its ``scaling``, say). Caches that you keep are yours to drop: what they hold was computed with the
        weights of then.
        """
        self.engine.refresh()
