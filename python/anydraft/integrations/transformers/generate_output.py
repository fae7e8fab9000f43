"""What a call of ``generate`` gives back: ids, streamed tokens, scores, caches, inner states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.generation.utils import GenerateDecoderOnlyOutput

from anydraft.decoding.events import Event
from anydraft.integrations.transformers.generate_call import GenerateCall
from anydraft.models.base import Model
from anydraft.models.transformers import TransformersModel
from anydraft.models.versions import cache_argument


class Steps:
    """The rows' tokens as columns: step by step as plain decoding has them, finished rows padded."""

    def __init__(self, call: GenerateCall, streamer: Any) -> None:
        """Nothing is emitted yet; ``streamer`` may be ``None``."""
        self.call = call
        self.ids: list[list[int]] = [[] for _ in call.prompts]
        self.records: dict[str, list[list[Tensor]]] = {
            name: [[] for _ in call.prompts] for name in call.wanted
        }
        self._running = set(range(len(call.prompts)))
        self._streamer = streamer
        self._handed_out = 0

    @property
    def count(self) -> int:
        """Number of steps."""
        return max(map(len, self.ids))

    def take(self, row: int, event: Event, scores: Tensor | None, logits: Tensor | None) -> None:
        """What a round brought a row; the streamer gets every step that all running rows have."""
        self.ids[row] += event.token_ids
        for name, new in (("scores", scores), ("logits", logits)):
            if new is not None:
                self.records[name][row] += list(new)
        if event.finish_reason:
            self._running.remove(row)
        if self._streamer is not None:
            self._hand_out()

    def _hand_out(self) -> None:
        for step in range(
            self._handed_out, min((len(self.ids[i]) for i in self._running), default=self.count)
        ):
            self._streamer.put(self.column(step))
            self._handed_out = step + 1
        if not self._running:
            self._streamer.end()

    def column(self, step: int) -> Tensor:
        """int64 ``[B]`` on the CPU."""
        return torch.tensor([ids[step] if step < len(ids) else self.call.pad_id for ids in self.ids])

    def sequences(self) -> Tensor:
        """int64 ``[B, L + steps]`` on the device of the prompt."""
        columns = [self.column(step) for step in range(self.count)]
        new = torch.stack(columns, 1) if columns else self.call.input_ids.new_zeros((len(self.ids), 0))
        return torch.cat((self.call.input_ids, new.to(self.call.input_ids.device)), 1)

    def recorded(self, name: str) -> tuple[Tensor, ...] | None:
        """Per step ``[B, V]``, or ``None`` if not asked for; rows of zeros where a row is finished."""
        rows = self.records.get(name)
        if rows is None:
            return None
        blank = torch.zeros_like(rows[0][0])
        return tuple(
            torch.stack([row[step] if step < len(row) else blank for row in rows])
            for step in range(self.count)
        )


def generate_output(
    model: PreTrainedModel, call: GenerateCall, steps: Steps, targets: Sequence[Model]
) -> Any:
    """Ids, or transformers' own output object where ``return_dict_in_generate`` asks for it."""
    first, sequences = targets[0], steps.sequences()
    cache, states = None, (None, None)
    simple = isinstance(first, TransformersModel) and len(targets) == 1 and not call.padded
    if call.wants_states or (call.wants_cache and not simple):
        cache = (
            (DynamicCache(config=model.config) if call.cache is None else call.cache)
            if call.wants_cache
            else None
        )
        states = _read_again(model, call, sequences, cache)
    elif call.wants_cache and isinstance(first, TransformersModel):
        cache = first.give_back(sequences[0, :-1].to(first.device), call.cache)
    if not call.config.return_dict_in_generate:
        return sequences
    fields: dict[str, Any] = {
        "sequences": sequences,
        "scores": steps.recorded("scores"),
        "logits": steps.recorded("logits"),
        "hidden_states": states[0],
        "attentions": states[1],
        cache_argument(type(model)): cache if call.config.use_cache else None,
    }
    return GenerateDecoderOnlyOutput(**fields)


def _read_again(
    model: PreTrainedModel, call: GenerateCall, sequences: Tensor, cache: DynamicCache | None
) -> tuple[Any, Any]:
    """One pass over the finished text, padding included: fills ``cache``; inner states step by step."""
    config = call.config
    start = 0 if cache is None else int(cache.get_seq_length())
    ids = sequences[:, :-1].to(model.device)
    prompt, end = call.input_ids.shape[1], ids.shape[1]
    mask = torch.cat((call.mask.to(ids.device), ids.new_ones((len(ids), end - prompt)).bool()), 1)
    types = call.token_types
    if types is not None:
        types = torch.cat((types.to(ids.device), types[:, -1:].to(ids.device).expand(-1, end - prompt)), 1)
    output = model(
        input_ids=ids[:, start:],
        attention_mask=mask.long(),
        position_ids=(mask.long().cumsum(-1) - 1).clamp(min=0)[:, start:],
        **{cache_argument(type(model)): cache},
        use_cache=cache is not None,
        output_hidden_states=bool(config.output_hidden_states),
        output_attentions=bool(config.output_attentions),
        return_dict=True,
        **({} if types is None else {"token_type_ids": types[:, start:]}),
    )
    parts = [(start, prompt), *((i if config.use_cache else 0, i + 1) for i in range(prompt, end))]
    hidden = attentions = None
    if config.output_hidden_states:
        hidden = tuple(
            tuple(layer[:, a - start : b - start] for layer in output.hidden_states) for a, b in parts
        )
    if config.output_attentions:
        attentions = tuple(
            tuple(layer[:, :, a - start : b - start, :b] for layer in output.attentions) for a, b in parts
        )
    return hidden, attentions
