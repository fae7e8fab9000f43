"""What a call of ``generate`` gives back: ids, streamed tokens, scores, caches, inner states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.generation.utils import GenerateDecoderOnlyOutput

from anydraft.integrations.generate_call import GenerateCall
from anydraft.models.protocol import Model
from anydraft.models.transformers import TransformersModel


class Steps:
    """The rows' tokens as columns: step by step as plain decoding has them, finished rows padded."""

    def __init__(self, call: GenerateCall, streamer: Any) -> None:
        """Nothing is emitted yet; ``streamer`` may be ``None``."""
        self.call = call
        self.ids: list[list[int]] = [[] for _ in call.prompts]
        self.records: dict[str, list[list[Tensor]]] = {
            name: [[] for _ in call.prompts] for name in call.wanted
        }
        self._streamer = streamer
        self._handed_out = 0

    @property
    def count(self) -> int:
        """Number of steps."""
        return max(map(len, self.ids))

    def take(self, row: int, ids: list[int], scores: Tensor | None, logits: Tensor | None) -> None:
        """What a round brought a row."""
        self.ids[row] += ids
        for name, new in (("scores", scores), ("logits", logits)):
            if new is not None:
                self.records[name][row] += list(new)

    def hand_out(self, running: Sequence[bool]) -> None:
        """Give the streamer every step that all running rows have; end it when none runs."""
        if self._streamer is None:
            return
        lengths = [len(ids) for ids, more in zip(self.ids, running, strict=True) if more]
        for step in range(self._handed_out, min(lengths, default=self.count)):
            self._streamer.put(self.column(step))
            self._handed_out = step + 1
        if not lengths:
            self._streamer.end()

    def column(self, step: int) -> Tensor:
        """int64 ``[B]`` on the CPU."""
        return torch.tensor([ids[step] if step < len(ids) else self.call.pad_id for ids in self.ids])

    def sequences(self) -> Tensor:
        """int64 ``[B, L + steps]`` on the device of the prompt."""
        columns = [self.column(step) for step in range(self.count)]
        new = torch.stack(columns, 1) if columns else self.call.input_ids.new_zeros((len(self.ids), 0))
        return torch.cat((self.call.input_ids, new.to(self.call.input_ids)), 1)

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


def generate_output(model: Any, call: GenerateCall, steps: Steps, targets: Sequence[Model]) -> Any:
    """Ids, or transformers' own output object where ``return_dict_in_generate`` asks for it."""
    cache = call.cache
    first = targets[0]
    if isinstance(first, TransformersModel) and len(targets) == 1:
        if cache is None:
            cache = first.cache
        else:
            first.give_back(cache)
    sequences = steps.sequences()
    if not call.config.return_dict_in_generate:
        return sequences
    hidden, attentions = _inner_states(model, call, sequences)
    fields: dict[str, Any] = {
        "sequences": sequences,
        "scores": steps.recorded("scores"),
        "logits": steps.recorded("logits"),
        "hidden_states": hidden,
        "attentions": attentions,
        "past_key_values": cache if call.returned_cache and len(targets) == 1 else None,
    }
    return GenerateDecoderOnlyOutput(**fields)


def _inner_states(model: Any, call: GenerateCall, sequences: Tensor) -> tuple[Any, Any]:
    """Hidden states and attentions as plain decoding returns them, from one pass over the finished text."""
    config = call.config
    if not (config.output_hidden_states or config.output_attentions):
        return None, None
    ids = sequences[:, :-1].to(model.device)
    prompt, end = call.input_ids.shape[1], sequences.shape[1] - 1
    mask = torch.cat((call.mask.to(ids.device), ids.new_ones((len(ids), end - prompt)).bool()), 1)
    output = model(
        input_ids=ids,
        attention_mask=mask.long(),
        position_ids=(mask.long().cumsum(-1) - 1).clamp(min=0),
        use_cache=False,
        output_hidden_states=bool(config.output_hidden_states),
        output_attentions=bool(config.output_attentions),
        return_dict=True,
    )
    parts = [(0, prompt), *((i, i + 1) for i in range(prompt, end))]
    hidden = attentions = None
    if config.output_hidden_states:
        hidden = tuple(tuple(layer[:, a:b] for layer in output.hidden_states) for a, b in parts)
    if config.output_attentions:
        attentions = tuple(tuple(layer[:, :, a:b, :b] for layer in output.attentions) for a, b in parts)
    return hidden, attentions
