"""What a ``Speculator`` refuses, and what happens when a model or a tokenizer fails in mid decode."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

import anydraft
import small
import watching
from anydraft.decoding.caches import PairCaches
from anydraft.proposers.registry import Method
from plain import METHODS, alone


class Failing:
    """A model that breaks after some passes, or whose user then presses Ctrl-C."""

    def __init__(self, model: Any, after: int, how: str) -> None:
        self.model, self.left, self.how = model, after, how

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def advance(self, ids: torch.Tensor, keep: int = 1) -> torch.Tensor:
        return self._passed(self.model.advance(ids, keep))

    def branch(self, ids: torch.Tensor, parents: Any) -> torch.Tensor:
        return self._passed(self.model.branch(ids, parents))

    def _passed(self, logits: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left >= 0:
            return logits
        if self.how == "raises":
            raise RuntimeError("out of memory")
        if self.how == "interrupted":
            raise KeyboardInterrupt
        return logits * float("nan")


@pytest.mark.parametrize("how", ["raises", "nan"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_broken_draft_drops_out_and_the_target_goes_on(how: str, method: Method, after: int) -> None:
    parts = small.pair()
    pair = small.join(parts, method=method)
    target, draft = pair.engine.sequences()
    stream = pair.stream(
        "The quick", max_new_tokens=30, caches=PairCaches(target, Failing(draft, after, how))
    )
    events = list(stream)
    ids = [token for event in events for token in event.token_ids]
    assert ids == alone(parts[0], stream.prompt_ids, 30)
    told = [event.draft_failure for event in events if event.draft_failure]
    assert len(told) == 1
    assert ("out of memory" if how == "raises" else "NaN") in told[0]


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "got no prompt"),
    ({"prompt": "a", "input_ids": [1]}, "prompt and input_ids"),
    ({"input_ids": []}, "at least one target id"),
    ({"input_ids": [10**6]}, "10\\d+|1000000"),
    ({"prompt": "The " * 2000}, "window"),
    ({"prompt": "a", "max_new_tokens": -1}, "max_new_tokens=-1"),
    ({"prompt": "a", "max_new_tokens": 1.5}, "max_new_tokens=1.5"),
    ({"prompt": "a", "temperature": -1.0}, "temperature=-1"),
    ({"prompt": "a", "temperature": math.nan}, "temperature=nan"),
    ({"prompt": "a", "temperature": 1.0, "top_p": 0.0}, "top_p=0"),
    ({"prompt": "a", "temperature": 1.0, "top_k": -3}, "top_k=-3"),
    ({"prompt": "a", "repetition_penalty": 0.0}, "repetition_penalty=0"),
    ({"messages": []}, "messages"),
]


@pytest.mark.parametrize(("options", "said"), BAD)
def test_bad_input_gets_one_clear_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(anydraft.ArgumentError, match=said) as caught:
        small.speculator().generate(**options)
    assert "expected" in str(caught.value) or "must" in str(caught.value)


def test_an_empty_prompt_starts_from_the_bos_or_is_refused() -> None:
    out = small.speculator().generate("", max_new_tokens=3)
    assert out.prompt_ids == [small.byte_fallback().bos_token_id]
    with pytest.raises(anydraft.ArgumentError, match="empty prompt"):
        small.speculator(swap=True).generate("", max_new_tokens=3)


def test_bad_pairs_are_refused_with_a_reason() -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    with pytest.raises(anydraft.PairError, match="logits"):
        anydraft.Speculator(small.model(target, padding=-5), small.model(draft), target, draft)
    with pytest.raises(anydraft.ArgumentError, match="method='slm'"):
        small.speculator(method="slm")
    with pytest.raises(anydraft.ArgumentError, match="num_draft_tokens=0"):
        small.speculator(num_draft_tokens=0)
    with pytest.raises(anydraft.TokenizerError, match="got a dict"):
        anydraft.Speculator(small.model(target), small.model(draft), target, {})


def test_an_interrupted_stream_leaves_everything_usable() -> None:
    parts = small.pair()
    pair = small.join(parts)
    target, draft = pair.engine.sequences()
    stream = pair.stream(
        "The quick", max_new_tokens=40, caches=PairCaches(Failing(target, 1, "interrupted"), draft)
    )
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
    out = pair.generate("The quick", max_new_tokens=40)
    assert out.token_ids == alone(parts[0], out.prompt_ids, 40)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_target_that_returns_nan_is_named(temperature: float) -> None:
    pair = small.speculator()
    target, draft = pair.engine.sequences()
    caches = PairCaches(Failing(target, 2, "nan"), draft)
    stream = pair.stream("The quick", max_new_tokens=30, temperature=temperature, seed=0, caches=caches)
    with pytest.raises(anydraft.ModelError, match="NaN"):
        list(stream)


def test_a_bridge_of_other_tokenizers_is_refused() -> None:
    pair = small.speculator()
    with pytest.raises(anydraft.PairError, match="another target tokenizer"):
        small.speculator(swap=True, bridge=pair.bridge)
    assert small.speculator(bridge=pair.bridge).generate("The", max_new_tokens=3).token_ids


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "caf\ud83d"},
        {"messages": [{"role": "user", "content": "caf\ud83d"}]},
        {"prompt": "The quick", "stop": "caf\ud83d"},
    ],
)
def test_half_a_surrogate_pair_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(anydraft.ArgumentError, match="lone surrogate"):
        small.speculator().generate(**given)
    with pytest.raises(anydraft.ArgumentError, match="lone surrogate"):
        small.speculator().bridge.usage("caf\ud83d")


class Broken:
    """A session whose tokenizers fail at one call."""

    def __init__(self, session: Any, method: str, at: int) -> None:
        self._session, self._method, self._left = session, method, at

    def __getattr__(self, name: str) -> Any:
        if name == self._method:
            self._left -= 1
            if self._left == 0:
                raise anydraft.TokenizerError("no such piece")
        return getattr(self._session, name)


@pytest.mark.parametrize("method", ["propose", "commit"])
@pytest.mark.parametrize("at", [1, 2, 5])
def test_a_tokenizer_that_fails_in_mid_decode_takes_the_draft_with_it(method: str, at: int) -> None:
    pair = small.speculator(method="slem")
    expected = pair.generate("日本 🙂", max_new_tokens=40)
    row = watching.row(pair, "日本 🙂", length=40)
    row.session = Broken(row.session, method, at)  # type: ignore[assignment]
    events = list(watching.rounds(row))
    assert [token for event in events for token in event.token_ids] == expected.token_ids
    assert "".join(event.text for event in events) == expected.text
    assert [event.draft_failure for event in events if event.draft_failure] == [
        "the draft failed: no such piece"
    ]
