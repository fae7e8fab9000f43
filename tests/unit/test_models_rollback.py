"""Models that keep states: whatever is read and taken back, the logits are those of a fresh reading."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

import anydraft
import fidelity
import stateful
import tiny
from anydraft.models import rollback
from anydraft.models.batch import batch_of, needed_batch
from anydraft.models.rollback import TOGETHER, Part, Recording, Replay, Way
from anydraft.models.transformers import TransformersModel

pytestmark = pytest.mark.filterwarnings("ignore")
CLOSE = 1e-3
"""Rounding, in standard deviations of a row of logits."""
each_kind = pytest.mark.parametrize("name", stateful.KINDS)


def fresh(model: Any, ids: Tensor, keep: int) -> Tensor:
    """The prompt at once and then token by token, as plain decoding reads."""
    reader = TransformersModel(model)
    found = [reader.advance(ids[: len(ids) - keep + 1])]
    found += [reader.advance(token[None]) for token in ids[len(ids) - keep + 1 :]]
    return torch.cat(found)


def far(found: Tensor, expected: Tensor) -> float:
    return float(((found - expected).abs().amax(-1) / expected.std(-1)).max())


class Decode:
    """A target's life: a block is read behind what is committed, and some of it is taken back."""

    def __init__(self, model: Any, seed: int) -> None:
        self.model, self.chance = TransformersModel(model), random.Random(seed)
        self.plain = model
        self.ids = self.some(12)
        self.passes = self.rounds = 0
        read = self.model.read

        def counted(*args: Any, **given: Any) -> Any:
            self.passes += 1
            return read(*args, **given)

        self.model.read = counted  # type: ignore[method-assign]

    def some(self, n: int) -> Tensor:
        return torch.tensor([self.chance.randrange(96) for _ in range(n)], dtype=torch.int64)

    def round(self, k: int, accepted: int) -> float:
        """The error of the logits of a round with ``k`` candidates, of which some are accepted."""
        candidates = self.some(k)
        self.model.settle(len(self.ids))
        unread = self.ids[self.model.length :]
        logits = self.model.advance(torch.cat((unread, candidates)), k + 1)
        error = far(logits, fresh(self.plain, torch.cat((self.ids, candidates)), k + 1))
        self.model.crop(len(self.ids) + accepted)
        self.ids = torch.cat((self.ids, candidates[:accepted], self.some(1)))
        self.rounds += 1
        return error


@each_kind
def test_blocks_of_any_length_and_any_number_accepted(name: str) -> None:
    decode = Decode(stateful.made(name), 0)
    for _ in range(8):
        k = decode.chance.randrange(5)
        assert decode.round(k, decode.chance.randint(0, k)) < CLOSE


@each_kind
def test_another_text_can_follow_a_crop_to_anywhere(name: str) -> None:
    model = stateful.made(name)
    reader, ids = TransformersModel(model), Decode(model, 1).some(20)
    for kept in (15, 3, 20, 0, 9):
        reader.crop(kept)
        assert reader.length <= kept
        ids = torch.cat((ids[:kept], Decode(model, kept).some(20)))
        assert far(reader.advance(ids[reader.length :]), fresh(model, ids, 1)) < CLOSE


@stateful.of_5
@pytest.mark.parametrize("name", ["qwen3_5_text", "lfm2, conv"])
def test_a_rejection_costs_no_further_pass(name: str) -> None:
    """Only where the tokens to be read again are many, they have one to themselves."""
    decode = Decode(stateful.made(name), 2)
    decode.round(0, 0)
    before = decode.passes
    for _ in range(3):
        decode.round(3, 1)
    assert decode.passes - before == 3
    for _ in range(9):
        decode.round(3, 1)
    assert decode.passes - before == 12 if name == "lfm2, conv" else 12 < decode.passes - before <= 16


def test_what_is_read_again_is_bounded() -> None:
    decode = Decode(stateful.made("qwen3_5_text"), 3)
    for _ in range(20):
        unread = len(decode.ids) - decode.model.length
        assert decode.rounds == 0 or unread <= TOGETHER + 4
        decode.round(4, 3)


@pytest.mark.parametrize(
    ("start", "n", "settled", "singly", "parts"),
    [
        (0, 30, 30, False, [(30, False)]),  # a prompt, and nothing else
        (0, 34, 30, False, [(30, False), (4, True)]),  # with candidates: read apart
        (30, 5, 31, False, [(5, True)]),  # a round
        (30, 8, 34, False, [(8, True)]),  # one that reads accepted tokens again
        (30, 22, 47, False, [(17, False), (5, True)]),  # too many of them
        (31, 1, 31, False, [(1, True)]),  # a draft's first token that may go
        (32, 1, 31, False, [(1, False)]),  # its second
        (30, 3, 31, True, [(1, False), (1, True), (1, False)]),
        (0, 6, 4, True, [(4, False), (1, True), (1, False)]),
    ],
)
def test_in_which_passes_a_block_is_read(
    start: int, n: int, settled: int, singly: bool, parts: list[tuple[int, bool]]
) -> None:
    made = list(Replay(Way(singly=singly)).parts(start, n, settled))
    assert made == [Part(*part) for part in parts]
    assert sum(part.tokens for part in made) == n


def test_two_states_at_most() -> None:
    decode = Decode(stateful.made("qwen3_5_text"), 4)
    decode.round(0, 0)
    one = size(rollback._states(decode.model.cache))
    for _ in range(12):
        decode.round(4, decode.chance.randint(0, 4))
        replay: Any = decode.model._held._rollback
        assert size(rollback._states(decode.model.cache)) == one
        assert replay._copy is None or size(replay._copy) == one


@stateful.of_5
def test_recorded_inputs_stay_few() -> None:
    model = stateful.made("lfm2, conv")
    decode = Decode(model, 5)
    for _ in range(12):
        decode.round(4, 2)
        decode.round(0, 0)
        for states, i, kernel in rollback._inputs(decode.model.cache):
            assert states[i].shape[-1] <= kernel


def size(value: Any) -> int:
    """Bytes of all tensors inside."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(size, value.values()))
    return sum(map(size, value)) if isinstance(value, (list, tuple)) else 0


def test_a_model_of_attention_has_nothing_to_copy() -> None:
    reader = TransformersModel(tiny.llama())
    assert not reader.stateful
    reader.advance(torch.arange(3, 12))
    reader.crop(4)
    assert reader.length == 4


@pytest.mark.parametrize("name", ["qwen3_5_text", "falcon_h1", "deepseek_v4", "minimax"])
def test_a_state_that_is_not_put_back_would_be_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the tests above: cut the keys, leave the states, and say that all is well."""

    def back(self: Replay, cache: Any, length: int, wanted: int) -> tuple[Any, int]:
        if not self._way.own:
            rollback.crop_keys(cache, length - wanted)
        return cache, wanted

    decode = Decode(stateful.made(name), 0)  # before: its trial would notice
    monkeypatch.setattr(Replay, "back", back)
    assert max(decode.round(3, 1) for _ in range(4)) > 10 * CLOSE


@stateful.of_5
def test_inputs_that_are_not_dropped_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def back(self: Recording, cache: Any, length: int, wanted: int) -> tuple[Any, int]:
        rollback.crop_keys(cache, length - wanted)
        return cache, wanted

    decode = Decode(stateful.made("lfm2, conv"), 0)  # before: its trial would notice
    monkeypatch.setattr(Recording, "back", back)
    assert max(decode.round(3, 1) for _ in range(4)) > 10 * CLOSE


@pytest.mark.skipif(not transformers.__version__.startswith("4."), reason="what version 4 does")
@pytest.mark.parametrize("name", stateful.REFUSED_BY_4)
def test_what_version_4_cannot_read_behind_a_state_is_refused(name: str) -> None:
    with pytest.raises(anydraft.ModelError, match="cannot read several tokens at once"):
        TransformersModel(fidelity.made(name))


def test_rows_with_states_share_no_passes() -> None:
    made = TransformersModel(stateful.made("qwen3_5_text"))
    assert batch_of(made) is None
    with pytest.raises(anydraft.ModelError, match="cannot share a pass"):
        needed_batch(made)
    assert len(needed_batch(TransformersModel(tiny.llama()))) == 0


def test_an_error_in_a_pass_leaves_an_empty_cache() -> None:
    reader = TransformersModel(stateful.made("qwen3_5_text"))
    reader.advance(torch.arange(3, 12))
    run = reader.runner
    reader.runner = lambda **_: 1 / 0  # type: ignore[assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        reader.advance(torch.arange(3, 5))
    assert reader.length == 0
    reader.runner = run
    ids = torch.arange(3, 12)
    assert far(reader.advance(ids), fresh(stateful.made("qwen3_5_text"), ids, 1)) < CLOSE
