"""The front door: two models, two tokenizers, one decode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from anydraft import pairs, prompts
from anydraft.bridge import Bridge
from anydraft.decoding import Decode
from anydraft.drafting.methods import Method, Strategies, check_method
from anydraft.drafting.view import DraftView
from anydraft.errors import ArgumentError, PairError
from anydraft.models.processing import processed_law
from anydraft.models.protocol import Model
from anydraft.models.transformers import TransformersModel
from anydraft.sampling import Greedy, Randomness, SeededRandomness
from anydraft.stats import Stats
from anydraft.stopping import Stopping
from anydraft.streaming import Event, Output, collect
from anydraft.tokenizer_source import TokenizerSource
from anydraft.verification import Rule


class Stream(Iterator[Event]):
    """The events of a running decode; :attr:`stats` grows with them."""

    def __init__(self, decode: Decode, prompt_ids: list[int]) -> None:
        """Made by :meth:`Speculator.stream`."""
        self.prompt_ids = prompt_ids
        self.stats: Stats = decode.stats
        self._decode = decode
        self._events = decode.run(prompt_ids)

    @property
    def method(self) -> str:
        """The method at work: what ``"auto"`` chose."""
        return self._decode.strategy.name

    def __next__(self) -> Event:
        """Run one round."""
        return next(self._events)


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
        num_draft_tokens: int = 5,
        bridge: Bridge | None = None,
    ) -> None:
        """Join two models.

        ``rule``: verify a block as one (``"block"``, accepts a little more) or token by token (``"token"``,
        cheaper); by default what pays for the method.
        ``num_draft_tokens`` is the number of draft tokens per block. ``bridge``: one that was built or loaded
        before for these tokenizers, best the :attr:`bridge` of another speculator: one made without
        roles does not know which control tokens mean the same.
        """
        check_method(method, rule)
        if not isinstance(num_draft_tokens, int) or num_draft_tokens < 1:
            raise ArgumentError(
                f"got num_draft_tokens={num_draft_tokens!r}; expected a whole number, 1 or more"
            )
        self.method: Method = method
        self.num_draft_tokens = num_draft_tokens
        self._models = target_model, draft_model
        self._tokenizers = target_tokenizer, draft_tokenizer
        generation = [getattr(model, "generation_config", None) for model in self._models]
        self._end_ids = frozenset(pairs.end_ids(target_tokenizer, generation[0]))
        if bridge is None:
            roles = pairs.bridge_roles(target_tokenizer, draft_tokenizer, *generation)
            bridge = Bridge(
                target_tokenizer, draft_tokenizer, to_target=roles.to_target, to_draft=roles.to_draft
            )
        else:
            _check_bridge(bridge, target_tokenizer, draft_tokenizer)
        self.bridge = bridge
        sizes = len(bridge.target), len(bridge.draft)
        self._opening = prompts.opening(draft_tokenizer)
        sequences = self._sequences()
        for role, model, size in zip(("target", "draft"), sequences, sizes, strict=True):
            if model.vocab_size < size:
                raise PairError(
                    f"got a {role} model with {model.vocab_size} logits and a tokenizer with {size} ids; "
                    "expected at least as many logits. Is it the model's own tokenizer, or were tokens added "
                    "to it without model.resize_token_embeddings?"
                )
        self._strategies = Strategies(bridge, *sequences, rule)

    def generate(self, prompt: str | None = None, **options: Any) -> Output:
        """Decode to the end; arguments and errors as for :meth:`stream`."""
        stream = self.stream(prompt, **options)
        return collect(stream, stream.prompt_ids, stream.stats)

    def stream(
        self,
        prompt: str | None = None,
        *,
        messages: prompts.Messages | None = None,
        input_ids: Sequence[int] | None = None,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        repetition_penalty: float | None = None,
        draft_temperature: float | None = None,
        draft_top_k: int | None = None,
        draft_top_p: float | None = None,
        seed: int | None = None,
    ) -> Stream:
        """Decode round by round.

        The prompt is one of ``prompt`` (text; the target's tokenizer adds what it adds to any text),
        ``messages`` (a chat; each side renders it with its own template) and ``input_ids`` (target ids).
        ``temperature`` 0 is greedy; the other sampling values are those of transformers, and hold for the
        target. The draft draws at the same temperature with the same cuts, unless ``draft_temperature``,
        ``draft_top_k`` and ``draft_top_p`` say otherwise: its law is free, the output's is not touched.
        ``seed`` makes sampling reproducible; without one torch's global generator is asked.

        A draft with a shorter window than the text reads a suffix of it.

        Raises:
            ArgumentError: not exactly one prompt, an empty one, one longer than the target's window, or a
                sampling value outside its domain.
            PairError: the method cannot work with this pair.
        """
        if not isinstance(max_new_tokens, int) or max_new_tokens < 0:
            raise ArgumentError(f"got max_new_tokens={max_new_tokens!r}; expected a whole number, 0 or more")
        law = processed_law(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
        )
        draft_law = processed_law(
            temperature=temperature if draft_temperature is None else draft_temperature,
            top_k=top_k if draft_top_k is None else draft_top_k,
            top_p=top_p if draft_top_p is None else draft_top_p,
            min_p=min_p,
        )
        target, draft = self._sequences()
        prompt_ids, view, shared = self._prompt(prompt, messages, input_ids)
        room = None if target.window is None else target.window - len(prompt_ids)
        if room is not None and room < 1:
            raise ArgumentError(
                f"got a prompt of {len(prompt_ids)} tokens; the target's window holds {target.window} and "
                "one must be free. Shorten the prompt."
            )
        session = self.bridge.session(view, shared)
        randomness: Randomness = Greedy() if law.greedy else SeededRandomness(seed)
        decode = Decode(
            target=target,
            draft=DraftView(draft, session.view(), draft_law.without_prefix),
            strategy=self._strategies.get(self.method, greedy=law.greedy),
            session=session,
            law=law,
            randomness=randomness,
            stopping=Stopping(self._end_ids, max_new_tokens, room),
            gamma=self.num_draft_tokens,
            decode_bytes=self.bridge.target.decode,
        )
        return Stream(decode, prompt_ids)

    def _prompt(
        self,
        prompt: str | None,
        messages: prompts.Messages | None,
        input_ids: Sequence[int] | None,
    ) -> tuple[list[int], list[int], list[int]]:
        """The target's prompt ids, the draft's opening view, the target ids that the draft reads after it."""
        given = [
            name
            for name, value in (("prompt", prompt), ("messages", messages), ("input_ids", input_ids))
            if value is not None
        ]
        if len(given) != 1:
            got = " and ".join(given) or "no prompt"
            raise ArgumentError(f"got {got}; expected one of prompt, messages, input_ids")
        target, draft = self._tokenizers
        if messages is not None:
            return prompts.render(target, messages), prompts.render_for_draft(draft, messages), []
        if prompt is not None:
            ids = prompts.encode_prompt(target, prompt)
        else:
            ids = _plain_ids(input_ids, len(self.bridge.target))
        return ids, list(self._opening), ids

    def _sequences(self) -> tuple[Model, Model]:
        """Both models with empty caches."""
        target, draft = self._models
        return TransformersModel(target), TransformersModel(draft)


def _check_bridge(bridge: Bridge, target_tokenizer: Any, draft_tokenizer: Any) -> None:
    given = TokenizerSource.of(target_tokenizer, "target"), TokenizerSource.of(draft_tokenizer, "draft")
    for role, made_of, source in zip(("target", "draft"), bridge.fingerprints, given, strict=True):
        if source.fingerprint != made_of:
            raise PairError(
                f"got a bridge made of another {role} tokenizer; expected one made of the tokenizers given. "
                "Leave bridge= out, or build it again"
            )


def _plain_ids(input_ids: Any, size: int) -> list[int]:
    """A list, an array or a tensor of target ids, ``[n]`` or ``[1, n]``, as a list."""
    ids = input_ids.tolist() if hasattr(input_ids, "tolist") else list(input_ids)
    if len(ids) == 1 and isinstance(ids[0], (list, tuple)):
        ids = list(ids[0])
    if not ids:
        raise ArgumentError("got no input_ids; expected at least one target id")
    wrong = [token for token in ids if not isinstance(token, int) or not 0 <= token < size]
    if wrong:
        raise ArgumentError(
            f"got {wrong[0]!r} in input_ids; expected one sequence of target ids from 0 to {size - 1}"
        )
    return ids
