"""What ``generate`` of transformers hands to a decoding method, and what it keeps from one.

All that differs between versions of ``generate`` is in this file and :mod:`.generate_arguments`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    EosTokenCriteria,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MaxLengthCriteria,
    PreTrainedModel,
    StoppingCriteriaList,
)

from anydraft.decoding.stop_rules import Criterion, criteria_rules
from anydraft.decoding.stopping import StopRule
from anydraft.errors import ArgumentError
from anydraft.integrations.transformers.generate_arguments import (
    cache_of_call,
    check_arguments,
    check_mode,
    check_positions,
    mask_of,
)
from anydraft.integrations.transformers.guidance import Guidance, is_guidance
from anydraft.integrations.transformers.recording import RecordingLaw
from anydraft.integrations.transformers.row_processors import for_row
from anydraft.models.faithful import way_of
from anydraft.models.in_order import OrderedProcessors, OrderedRow
from anydraft.models.kv_cache import is_filled
from anydraft.models.logits import pure
from anydraft.models.prefill import Prefill
from anydraft.models.token_types import token_types_of
from anydraft.models.versions import cache_of


def ask_for_more(tokenizer: object) -> None:
    """Have ``generate`` hand over what it otherwise drops before it calls a decoding method.

    It reads a method's signature in a frame where its own arguments are at hand: there they are put among the
    arguments that are meant for the method. Anywhere else this does nothing. ``tokenizer`` reads stop strings
    where the caller names none and it can: else ``generate`` itself says that it needs one.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_name != "_extract_generation_mode_kwargs":
        frame = frame.f_back
    arguments = frame.f_locals.get("kwargs")
    if frame.f_code.co_name == "_extract_generation_mode_kwargs" and isinstance(arguments, dict):
        given = (frame.f_locals.get("generation_mode_kwargs") or {}).get("tokenizer")
        if given is not None or _reads_stop_strings(tokenizer):
            arguments["tokenizer"] = tokenizer if given is None else given
        for name, ours in (("streamer", "anydraft_streamer"), ("assistant_model", "anydraft_assistant")):
            if frame.f_locals.get(name) is not None:
                arguments[ours] = frame.f_locals[name]
        if cache_of(arguments) is not None:
            arguments["anydraft_fills_cache"] = True


def _reads_stop_strings(tokenizer: object) -> bool:
    """Whether transformers can find stop strings in its vocabulary: whether it is one of transformers'."""
    return callable(tokenizer) and all(
        hasattr(tokenizer, n) for n in ("get_vocab", "convert_tokens_to_string")
    )


@dataclass(frozen=True)
class GenerateCall:
    """One call of ``generate``, read and checked."""

    model: PreTrainedModel
    input_ids: Tensor
    """int64 ``[B, L]``, left-padded."""
    mask: Tensor
    """bool ``[B, L]``."""
    prompts: list[list[int]]
    """The rows without their padding."""
    config: GenerationConfig
    cache: DynamicCache | None
    """A prepared cache to start from and to fill, or ``None``."""
    wants_cache: bool
    """Whether the caller gets to see what is in the cache at the end."""
    all_processors: list[LogitsProcessor]
    criteria: list[Criterion]
    max_new_tokens: int
    end_ids: frozenset[int]
    token_types: Tensor | None = None
    """int64 ``[B, L]``, for a model that reads them."""
    prefill: Prefill | None = None
    """What reads the prompts, if there are pictures or sounds in them."""

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        input_ids: Tensor,
        processors: LogitsProcessorList | None,
        criteria: StoppingCriteriaList | None,
        config: GenerationConfig,
        model_kwargs: dict[str, Any],
        *,
        fills_cache: bool,
    ) -> GenerateCall:
        """Read the arguments; ``fills_cache``: the cache among them is the caller's own.

        Raises:
            ArgumentError: something that cannot be served.
        """
        check_mode(config)
        more = check_arguments(model, model_kwargs)
        mask = mask_of(input_ids, model_kwargs.get("attention_mask"))
        if not more:
            check_positions(mask, model_kwargs.get("position_ids"))
        listed, real = input_ids.tolist(), mask.sum(-1).tolist()
        # Only transformers' own: a user's subclass may end a row otherwise than its numbers say.
        lengths = [c.max_length for c in criteria or () if type(c) is MaxLengthCriteria]
        ends = [c.eos_token_id for c in criteria or () if type(c) is EosTokenCriteria]
        length = input_ids.shape[1]
        cache = cache_of_call(cache_of(model_kwargs), config, len(listed))
        if more and cache is not None and cache.get_seq_length():
            raise ArgumentError(
                "got pictures or sounds and filled past_key_values; expected the whole prompt at once. Leave "
                "past_key_values out"
            )
        made = cls(
            model=model,
            input_ids=input_ids,
            mask=mask,
            prompts=[row[len(row) - n :] for row, n in zip(listed, real, strict=True)],
            config=config,
            cache=cache,
            wants_cache=fills_cache or bool(config.use_cache and config.return_dict_in_generate),
            all_processors=list(processors or ()),
            criteria=[c for c in criteria or () if type(c) not in (MaxLengthCriteria, EosTokenCriteria)],
            max_new_tokens=max(1, min(lengths, default=length + 20) - length),
            end_ids=frozenset(int(i) for end in ends for i in end.reshape(-1).tolist()),
            token_types=None
            if more
            else token_types_of(model, model_kwargs.get("token_type_ids"), input_ids),
            prefill=Prefill(model, input_ids, mask, model_kwargs) if more else None,
        )
        made.refuse_what_is_read_again()
        return made

    def refuse_what_is_read_again(self) -> None:
        """Raise :class:`ArgumentError` for what takes a second pass over the text, if there are pictures."""
        apart = self.wants_cache and (self.padded or len(self.prompts) > 1)
        if self.prefill is not None and (self.wants_states or apart):
            raise ArgumentError(
                "got pictures or sounds and a call that returns hidden states or attentions, or the cache of "
                "several rows; expected ids, scores or logits, because the text is read again for those. "
                "Leave output_hidden_states, output_attentions and past_key_values out, and set "
                "use_cache=False if several rows return a dict"
            )

    def refuse_assistant(self, assistant: object) -> None:
        """Raise :class:`ArgumentError` if the call names an ``assistant_model`` too."""
        if assistant is not None:
            raise ArgumentError(
                "got assistant_model and custom_generate; expected one of them. The draft of custom_generate "
                "is the one it was made with"
            )

    def refuse_second_pass(self) -> None:
        """Raise :class:`ArgumentError` for what takes a pass over the finished text, where a model has none.

        Behind a state some models read one token a pass, and some make a cache that no other can stand for.
        """
        way, several = way_of(self.model), self.padded or len(self.prompts) > 1
        filled = self.cache is not None and is_filled(self.cache)
        again = self.wants_states or (self.wants_cache and several)
        if again and (way.shift or (way.own and self.wants_cache) or (way.singly and filled)):
            raise ArgumentError(
                f"got hidden states, attentions or several rows, and past_key_values, of "
                f"{type(self.model).__name__}, which cannot read a finished text in one pass behind its "
                "cache; expected one row without them. Leave them out, or set use_cache=False"
            )

    def refuse_guidance(self) -> None:
        """Raise :class:`ArgumentError` if ``guidance_scale`` is asked of a target that is held in parts."""
        if any(map(is_guidance, self.all_processors)):
            raise ArgumentError(
                "got guidance_scale and a target under tensor parallelism; expected one of them, because "
                "one process decides what all of them read. Leave guidance_scale or custom_generate out"
            )

    @property
    def samples(self) -> bool:
        """Whether the tokens are sampled."""
        return bool(self.config.do_sample)

    @property
    def padded(self) -> bool:
        """Whether there is padding before any row."""
        return any(len(prompt) < self.input_ids.shape[1] for prompt in self.prompts)

    @property
    def wants_states(self) -> bool:
        """Whether hidden states or attentions are returned."""
        asked = self.config.output_hidden_states or self.config.output_attentions
        return bool(asked and self.config.return_dict_in_generate)

    @property
    def wanted(self) -> frozenset[str]:
        """What is to be recorded of every token: ``"scores"``, ``"logits"``."""
        if not self.config.return_dict_in_generate:
            return frozenset()
        return frozenset(name for name in ("scores", "logits") if getattr(self.config, f"output_{name}"))

    @property
    def pad_id(self) -> int:
        """What follows a finished row."""
        pad = getattr(self.config, "_pad_token_tensor", None)
        pad = self.config.pad_token_id if pad is None else pad
        return 0 if pad is None else int(pad)

    def pads(self, row: int) -> Tensor:
        """int64 ``[p]``: the padding before a row, which processors and criteria see as in plain decoding."""
        padding = self.input_ids.shape[1] - len(self.prompts[row])
        return self.input_ids[row, :padding].to(self.model.device)

    def types(self, row: int) -> Tensor | None:
        """int64 ``[n]``: the types of a row's tokens without its padding; ``None`` if there are none."""
        if self.token_types is None:
            return None
        return self.token_types[row, -len(self.prompts[row]) :].to(self.model.device)

    def processors(self, row: int) -> list[LogitsProcessor]:
        """The logits processors as a batch of this row alone would have them."""
        rows, length = len(self.prompts), self.input_ids.shape[1]
        return [
            Guidance(processor, row, rows, length)
            if is_guidance(processor)
            else for_row(processor, row, rows)
            for processor in self.all_processors
        ]

    @property
    def pure(self) -> bool:
        """Whether every processor may be shown candidates that are then rejected."""
        return all(pure(processor) or is_guidance(processor) for processor in self.all_processors)

    def in_order(self, choice: Literal["sample", "greedy"]) -> OrderedProcessors:
        """All processors, to be called as plain decoding calls them."""
        ids = self.input_ids.to(self.model.device)
        return OrderedProcessors(self.all_processors, choice, ids, pad_id=self.pad_id, wanted=self.wanted)

    def rules(self, row: int, law: RecordingLaw | OrderedRow) -> list[StopRule]:
        """The stopping criteria beside length and end tokens, for a row."""
        pads, prompt = self.pads(row), len(self.prompts[row])

        def padded(rule: StopRule) -> StopRule:
            if not len(pads):
                return rule
            return lambda prefix: rule(prefix._replace(ids=torch.cat((pads, prefix.ids))))

        scores = (
            (lambda ids: law.scores_of(len(ids) - len(pads) - prompt)) if "scores" in self.wanted else None
        )
        return [padded(rule) for rule in criteria_rules(self.criteria, scores)]
