"""One line in transformers: ``target.generate(..., custom_generate=anydraft.custom_generate(...))``."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any, Literal
from weakref import WeakSet

import torch
from torch import Tensor
from torch.nn import Module
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

from anydraft.bridge.bridge import Bridge
from anydraft.bridge.prompts import Messages
from anydraft.bridge.protocols import AnyTokenizer
from anydraft.decoding.caches import PairCaches
from anydraft.decoding.events import FinishReason
from anydraft.decoding.loop import decode
from anydraft.decoding.parallel import round_with
from anydraft.decoding.sequence import Row
from anydraft.decoding.stats import Stats
from anydraft.engine.engine import Engine
from anydraft.errors import PairError
from anydraft.integrations.transformers.generate_call import GenerateCall, ask_for_more
from anydraft.integrations.transformers.generate_output import Steps, generate_output
from anydraft.integrations.transformers.recording import RecordingLaw
from anydraft.memory.memory import MemoryChoice
from anydraft.models.base import Model
from anydraft.models.batch import sequences
from anydraft.models.faithful import ensure_length
from anydraft.models.fast.runner import FastPasses, forget
from anydraft.models.in_order import OrderedRow
from anydraft.models.logits import ProcessedLaw
from anydraft.models.row import TransformersRow
from anydraft.models.tensor_parallel import team_of
from anydraft.models.transformers import TransformersModel
from anydraft.models.weights import DraftWeights, Weights
from anydraft.proposers.branches import Trees
from anydraft.proposers.draft_head import Rows, Wish
from anydraft.proposers.registry import Method
from anydraft.sampling.laws import Greedy, Randomness, SeededRandomness
from anydraft.sampling.rejection import Rule
from anydraft.speculator import Speculator


def custom_generate(
    draft_model: Module,
    target_tokenizer: AnyTokenizer,
    draft_tokenizer: AnyTokenizer,
    *,
    method: Method = "auto",
    rule: Rule | None = None,
    num_draft_tokens: int | Literal["auto"] = "auto",
    draft_head: Wish | Rows = "auto",
    weights: Weights = "auto",
    draft_weights: DraftWeights = "auto",
    compile: bool = False,  # noqa: A002  # the word that users know
    memory: MemoryChoice = "process",
    bridge: Bridge | None = None,
    tree: Trees = "auto",
) -> CustomGenerate:
    """What to give to a target's ``generate(custom_generate=...)``; its other arguments keep their meaning.

    ``target.generate(**inputs, custom_generate=anydraft.custom_generate(draft, target_tokenizer,
    draft_tokenizer))`` returns what it would return without, sooner. Make it once and use it again and
    again: the vocabularies are joined at the first call. It may serve several targets with one tokenizer.

    Options are those of :class:`anydraft.Speculator`, but for ``plan``. With ``weights="model"``, for
    example, each pass of both models is the model itself, called as transformers calls it; ``draft_weights``
    is the draft's alone.
    Weights that changed since the last call are followed; see :meth:`CustomGenerate.refresh`.

    Two more arguments can be given to ``generate``: ``messages``, the chat behind ``input_ids``, so that the
    draft reads it in its own template; and ``seed``.

    Raises (when called):
        ArgumentError: a generation mode other than greedy or sampling, or an argument that cannot be served;
            the message says what to do instead.
        TokenizerError, ModelError, PairError: as for :class:`anydraft.Speculator`.
    """
    options: dict[str, Any] = {"method": method, "rule": rule, "num_draft_tokens": num_draft_tokens}
    options |= {"draft_head": draft_head, "weights": weights, "draft_weights": draft_weights}
    options |= {"compile": compile, "memory": memory, "tree": tree}
    return CustomGenerate(draft_model, target_tokenizer, draft_tokenizer, bridge, options)


class CustomGenerate:
    """A decoding method for ``generate``; made by :func:`custom_generate`."""

    def __init__(
        self,
        draft: Module,
        target_tokenizer: AnyTokenizer,
        draft_tokenizer: AnyTokenizer,
        bridge: Bridge | None,
        options: Any,
    ) -> None:
        """Keep what the first call needs."""
        self._draft = draft
        self._tokenizers = target_tokenizer, draft_tokenizer
        self._bridge = bridge
        self._options = options
        self._target: PreTrainedModel | None = None
        self._targets: WeakSet[PreTrainedModel] = WeakSet()
        self._speculator: Speculator | None = None
        self.stats: list[Stats] = []
        """Counts of the last call, one per row."""
        self.finish_reasons: list[FinishReason] = []
        """Why the rows of the last call ended."""

    @property
    def __signature__(self) -> inspect.Signature:
        """What ``generate`` reads to learn which arguments are meant for us."""
        ask_for_more(self._tokenizers[0])
        return inspect.signature(type(self).__call__)

    def __call__(
        self,
        model: PreTrainedModel,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList | None,
        stopping_criteria: StoppingCriteriaList | None,
        generation_config: GenerationConfig,
        *,
        messages: Messages | None = None,
        seed: int | None = None,
        tokenizer: Any = None,
        anydraft_streamer: Any = None,
        anydraft_assistant: Any = None,
        anydraft_fills_cache: bool = False,
        **model_kwargs: Any,
    ) -> Any:
        """Decode; called by ``generate`` with what it has prepared."""
        engine = self._engine(model)
        call = GenerateCall.of(
            model,
            input_ids,
            logits_processor,
            stopping_criteria,
            generation_config,
            model_kwargs,
            fills_cache=anydraft_fills_cache,
        )
        call.refuse_assistant(anydraft_assistant)
        call.refuse_second_pass()
        team = team_of(model)
        if team is not None:
            call.refuse_guidance()
        rows, laws = self._rows(engine, call, messages, seed)
        steps = Steps(call, anydraft_streamer)
        for i, event in decode(rows, round_with(team)):
            steps.take(i, event, *laws[i].take(len(event.token_ids)))
            if event.draft_failure:
                warnings.warn(f"anydraft: {event.draft_failure}; the target went on alone", stacklevel=2)
        self.stats = [row.stats for row in rows]
        self.finish_reasons = [row.finish_reason for row in rows if row.finish_reason]
        return generate_output(model, call, steps, [row.target for row in rows])

    def refresh(self) -> None:
        """See :meth:`Speculator.refresh`; for the draft, and every target that there was."""
        for target in self._targets:
            forget(target)
        if self._speculator is not None:
            self._speculator.refresh()

    def _engine(self, target: PreTrainedModel) -> Engine:
        if self._speculator is None or self._target is not target:
            self._speculator = self._joined(target)
            self._target = target
            self._targets.add(target)
        return self._speculator.engine

    def _joined(self, target: PreTrainedModel) -> Speculator:
        """A pair with this target, by the bridge of the last one if that serves it too."""
        sides = target, self._draft, *self._tokenizers
        last = None if self._speculator is None else self._speculator.bridge
        try:
            return Speculator(*sides, bridge=self._bridge or last, **self._options)
        except PairError:
            if self._bridge is not None or last is None:
                raise
        return Speculator(*sides, **self._options)  # another number of rows, for the same tokenizer

    def _rows(
        self, engine: Engine, call: GenerateCall, messages: Messages | None, seed: int | None
    ) -> tuple[list[Row], list[RecordingLaw | OrderedRow]]:
        ensure_length(call.model, call.input_ids.shape[1] + call.max_new_tokens, call.padded)
        passes = FastPasses(self._options["weights"], self._options["compile"])
        targets: Sequence[Model] = sequences(call.model, len(call.prompts), passes)
        if call.prefill is not None:
            for target, prefill in zip(targets, call.prefill.rows(), strict=True):
                assert isinstance(target, (TransformersModel, TransformersRow))
                target.prefill = prefill
        elif call.cache is not None and len(targets) == 1:
            model = targets[0]
            assert isinstance(model, TransformersModel)
            model.adopt(call.cache, len(call.pads(0)))
        for i, target in enumerate(targets):
            types = call.types(i)
            if types is not None:
                assert isinstance(target, (TransformersModel, TransformersRow))
                target.token_types = types
        drafts = engine.draft_sequences(len(call.prompts))
        choice: Literal["sample", "greedy"] = "sample" if call.samples else "greedy"
        base = int(torch.randint(2**63 - 1, (), dtype=torch.int64)) if seed is None and call.samples else seed
        order = None if call.pure else call.in_order(choice)
        rows: list[Row] = []
        laws: list[RecordingLaw | OrderedRow] = []
        for i, ids in enumerate(call.prompts):
            processed = ProcessedLaw(call.processors(i), choice)
            law = RecordingLaw(processed, call.pads(i), call.wanted) if order is None else order.rows[i]
            chance: Randomness = SeededRandomness(base, row=i) if call.samples else Greedy()
            prompt = engine.plain_prompt(ids)
            if messages is not None:
                prompt = prompt._replace(view=engine.shown(messages), shared=[])
            row = engine.row(
                prompt,
                PairCaches(targets[i], drafts[i]),
                law=law,
                draft_law=processed.without_prefix,
                randomness=chance,
                times="nominal" if call.samples else "measured",
                max_new_tokens=call.max_new_tokens,
                rules=call.rules(i, law),
                end_ids=call.end_ids,
            )
            rows.append(row)
            laws.append(law)
        return rows, laws
