"""``Speculator`` on tiny random models: the target alone is the reference."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

import anydraft
import small
import watching
from anydraft.decoding.caches import PairCaches
from anydraft.proposers import registry
from anydraft.proposers.registry import Method
from clocks import Clock

METHODS: list[Method] = ["tli", "slem", "pushforward", "slrs", "auto"]
PROMPTS = ["The quick", "def fib(n):\n    ", "Ça va", "日本 🙂", "12345 "]


def alone(model: Any, ids: list[int], n: int, **options: Any) -> list[int]:
    """What the target says without a draft, as plain generate has it."""
    out = model.generate(torch.tensor([ids]), max_new_tokens=n, do_sample=False, **options)
    return out[0, len(ids) :].tolist()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_output_is_the_targets_own(method: Method, swap: bool, prompt: str) -> None:
    parts = small.pair(swap=swap)
    pair = small.join(parts, method=method)
    out = pair.generate(prompt, max_new_tokens=40)
    assert out.token_ids == alone(parts[0], out.prompt_ids, 40)
    assert out.text == pair.bridge.target.decode(out.token_ids).decode(errors="replace")


@pytest.mark.parametrize("options", [{"repetition_penalty": 1.5}, {"repetition_penalty": 0.7}])
def test_greedy_with_a_penalty_equals_plain_generate(options: dict[str, float]) -> None:
    parts = small.pair()
    out = small.join(parts).generate("The quick", max_new_tokens=40, **options)
    assert out.token_ids == alone(parts[0], out.prompt_ids, 40, **options)


@pytest.mark.parametrize("method", METHODS)
def test_sampling_is_reproducible_and_seeds_differ(method: Method) -> None:
    pair = small.speculator(method=method)
    run = lambda seed: pair.generate("The", max_new_tokens=30, temperature=1.0, seed=seed).token_ids  # noqa: E731
    assert run(5) == run(5)
    assert len({tuple(run(seed)) for seed in range(6)}) > 1
    torch.manual_seed(9)
    first = run(None)
    torch.manual_seed(9)
    assert run(None) == first


def test_it_stops_at_an_end_token_like_plain_generate() -> None:
    for seed in range(12):
        target, *others = small.pair(seed=seed)
        free = small.join((target, *others)).generate("The quick", max_new_tokens=30).token_ids
        end = free[min(7, len(free) - 1)]
        target.generation_config.eos_token_id = [small.byte_fallback().eos_token_id, end]
        out = anydraft.Speculator(target, *others).generate("The quick", max_new_tokens=30)
        assert out.finish_reason == "eos"
        assert out.token_ids == free[: free.index(end) + 1]
        assert out.token_ids == alone(target, out.prompt_ids, 30)


@pytest.mark.parametrize("n", [0, 1, 2, 6])
def test_lengths_are_exact(n: int) -> None:
    pair = small.speculator()
    out = pair.generate("The quick", max_new_tokens=n)
    assert len(out.token_ids) == n
    assert out.finish_reason == "length"
    assert out.stats.tokens == n


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_statistics_count_everything_once(method: Method, temperature: float) -> None:
    pair = small.speculator(method=method)
    stream = pair.stream("The quick", max_new_tokens=50, temperature=temperature, seed=1)
    events = list(stream)
    stats = stream.stats
    ids = [token for event in events for token in event.token_ids]
    assert stats.tokens == len(ids) == 50
    assert stats.accepted == sum(event.accepted for event in events)
    assert stats.recovered == sum(event.source == "recovered" for event in events)
    assert stats.bonus == sum(event.source == "bonus" for event in events)
    assert stats.target_passes == len(events)
    assert stats.bytes == len(pair.bridge.target.decode(ids))
    assert stats.drafted == stats.draft_passes
    assert stats.accepted <= stats.proposed
    assert stats.block_efficiency == 50 / len(events)
    assert 0 <= stats.overhead <= 1
    assert stats.as_dict()["acceptance_rate"] == stats.accepted / stats.proposed


def test_events_add_up_to_the_text() -> None:
    pair = small.speculator()
    events = list(pair.stream("日本 🙂", max_new_tokens=60))
    whole = pair.bridge.target.decode([token for event in events for token in event.token_ids])
    assert "".join(event.text for event in events) == whole.decode(errors="replace")
    assert [event.finish_reason for event in events[:-1]] == [None] * (len(events) - 1)


def test_the_users_things_are_not_changed() -> None:
    *models, target, draft = parts = small.pair()
    pair = small.join(parts)
    before = [
        (
            {k: v.clone() for k, v in model.state_dict().items()},
            model.config.to_dict(),
            model.generation_config.to_dict(),
        )
        for model in models
    ]
    texts = [tokenizer.backend_tokenizer.to_str() for tokenizer in (target, draft)]
    spoke = [alone(model, [5, 6, 7], 10) for model in models]
    pair.generate("The quick", max_new_tokens=20, temperature=0.8, repetition_penalty=1.2, seed=0)
    for model, (weights, config, generation) in zip(models, before, strict=True):
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        assert model.config.to_dict() == config
        assert model.generation_config.to_dict() == generation
    assert [tokenizer.backend_tokenizer.to_str() for tokenizer in (target, draft)] == texts
    assert [alone(model, [5, 6, 7], 10) for model in models] == spoke


def test_after_every_round_the_draft_sees_the_committed_bytes() -> None:
    pair = small.speculator(method="slem")
    row = watching.row(pair, "Ça va", length=60, temperature=1.0, seed=2)
    for _ in watching.rounds(row):
        assert row.draft is not None
        view = pair.bridge.draft.decode(row.draft.ids)
        assert view == row.session.bytes()
        assert row.session.view() == row.draft.ids
        assert row.draft.length <= len(row.draft.ids)
        assert row.target.length == len(row.session) - 1


class Failing:
    """A model that breaks after some passes, or whose user then presses Ctrl-C."""

    def __init__(self, model: Any, after: int, how: str) -> None:
        self.model, self.left, self.how = model, after, how

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def advance(self, ids: torch.Tensor, keep: int = 1) -> torch.Tensor:
        logits = self.model.advance(ids, keep)
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


def test_a_prompt_longer_than_the_drafts_window_is_drafted_from_a_suffix() -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    short = small.model(draft, seed=1)
    short.config.max_position_embeddings = 32
    pair = anydraft.Speculator(small.model(target), short, target, draft, method="slem", num_draft_tokens=5)
    row = watching.row(pair, "The quick brown fox jumps over the lazy dog. " * 4, length=60)
    assert row.draft is not None
    longest = 0
    for _ in watching.rounds(row):
        longest = max(longest, row.draft.length)
    assert 0 < longest <= 32
    assert row.stats.drafted > 0
    assert pair.bridge.draft.decode(row.draft.ids) == row.session.bytes()


def test_decoding_ends_at_the_targets_window() -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    model = small.model(target)
    model.config.max_position_embeddings = 24
    pair = anydraft.Speculator(model, small.model(draft), target, draft)
    out = pair.generate("The quick", max_new_tokens=100)
    assert out.finish_reason == "window"
    assert len(out.prompt_ids) + len(out.token_ids) == 24


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


def test_a_chat_is_rendered_for_each_side() -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    pair = small.speculator()
    row = watching.row(pair, pair.engine.prompt(messages=[{"role": "user", "content": "The quick"}]))
    assert row.draft is not None
    assert target.decode(row.prompt).startswith("<bos>user:")
    assert draft.decode(row.draft.ids).startswith("user:")
    assert len(list(watching.rounds(row))) > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_two_models_may_have_different_dtypes(method: Method, temperature: float) -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    models = small.model(target), small.model(draft, seed=1).to(torch.bfloat16)
    pair = anydraft.Speculator(*models, target, draft, method=method)
    out = pair.generate("The quick", max_new_tokens=20, temperature=temperature, seed=0)
    assert out.stats.drafted > 0
    assert out.draft_failure is None
    if temperature == 0:
        assert out.token_ids == alone(models[0], out.prompt_ids, 20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device beside the CPU")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("places", [("cuda", "cpu"), ("cpu", "cuda"), ("cuda", "cuda")])
def test_the_two_models_may_be_on_different_devices(method: Method, places: tuple[str, str]) -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    models = small.model(target).to(places[0]), small.model(draft, seed=1).to(places[1])
    pair = anydraft.Speculator(*models, target, draft, method=method)
    for temperature in (0.0, 1.0):
        out = pair.generate("The quick", max_new_tokens=20, temperature=temperature, seed=0)
        assert out.stats.drafted > 0
        assert out.draft_failure is None


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


def test_input_ids_may_be_a_tensor() -> None:
    pair = small.speculator()
    expected = pair.generate(input_ids=[5, 6, 7], max_new_tokens=5).token_ids
    assert pair.generate(input_ids=torch.tensor([5, 6, 7]), max_new_tokens=5).token_ids == expected
    assert pair.generate(input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=5).token_ids == expected
    for bad in ([-1], [2**40], [[5], [6]], [1.5], torch.tensor([[5], [6]])):
        with pytest.raises(anydraft.ArgumentError, match="input_ids"):
            pair.generate(input_ids=bad)


def test_a_bridge_of_other_tokenizers_is_refused() -> None:
    pair = small.speculator()
    with pytest.raises(anydraft.PairError, match="another target tokenizer"):
        small.speculator(swap=True, bridge=pair.bridge)
    assert small.speculator(bridge=pair.bridge).generate("The", max_new_tokens=3).token_ids


def test_a_draft_whose_template_refuses_a_chat_reads_it_as_text() -> None:
    target, draft = small.byte_fallback(), copy.deepcopy(small.byte_level())
    draft.chat_template = "{{ raise_exception('no system role') }}"
    pair = anydraft.Speculator(small.model(target), small.model(draft), target, draft)
    row = watching.row(pair, pair.engine.prompt(messages=[{"role": "system", "content": "The quick"}]))
    assert row.draft is not None
    assert draft.decode(row.draft.ids).startswith("system:")
    assert len(list(watching.rounds(row))) > 0


def test_time_between_events_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    stream = small.speculator().stream("The quick", max_new_tokens=10)
    for _ in stream:
        clock.now += 3600
    assert 0 < stream.stats.seconds < 3600


def test_cuts_on_the_draft_side_leave_only_what_may_be_drawn() -> None:
    pair = small.speculator(method="tli")
    out = pair.generate("The quick", max_new_tokens=60, temperature=0.3, top_p=0.5, top_k=5, seed=0)
    table = pair.bridge.tables.draft_to_target
    assert out.stats.drafted > 20
    drawn: list[int] = []
    row = watching.row(pair, "The quick", length=60, temperature=0.3, top_p=0.5, top_k=5, seed=0)
    row.session = Listening(row.session, drawn)  # type: ignore[assignment]
    list(watching.rounds(row))
    first_allowed = int((table >= 0).argmax())
    assert drawn.count(first_allowed) < len(drawn) / 4


class Listening:
    """A session that notes what was drafted."""

    def __init__(self, session: Any, drawn: list[int]) -> None:
        self.session, self.drawn = session, drawn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def commit(self, ids: list[int], drafted: list[int]) -> Any:
        self.drawn += drafted
        return self.session.commit(ids, drafted)


@pytest.mark.parametrize("method", METHODS)
def test_the_draft_may_have_a_law_of_its_own(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = small.speculator(method=method)
    same = pair.generate("The quick", max_new_tokens=40)
    own = pair.generate("The quick", max_new_tokens=40, draft_temperature=2.0, draft_top_k=7)
    assert own.token_ids == same.token_ids
    rows = watching.rows(pair, monkeypatch)
    stream = pair.stream("The quick", max_new_tokens=5, temperature=1.0, draft_top_k=3, draft_top_p=0.9)
    draft = rows[0].draft
    assert draft is not None
    assert 1 <= int((draft.law(torch.randn(400)) > 0).sum()) <= 3
    assert len([token for event in stream for token in event.token_ids]) == 5
    with pytest.raises(anydraft.ArgumentError, match="top_p"):
        pair.stream("The quick", temperature=1.0, draft_top_p=1.5)


CLOCKS = [(1e-3,), (1e-6, 5.0, 1e-6, 1e-6, 0.2), (3.0, 1e-6, 1e-6, 1e-6, 1e-6, 0.01, 1e-6)]
"""Steps of clocks: a steady one, and two by which now this and now that takes long."""


def drafted_by(steps: tuple[float, ...], monkeypatch: pytest.MonkeyPatch, **options: Any) -> tuple[int, ...]:
    """What a fresh pair proposes and emits round by round, lengths and methods left to itself."""
    monkeypatch.setattr("time.perf_counter", Clock(steps))
    pair = small.speculator(num_draft_tokens="auto")
    rows = watching.rows(pair, monkeypatch)
    stream = pair.stream("The quick brown fox " * 3, max_new_tokens=40, temperature=0.7, **options)
    said = [(rows[0].stats.proposed, *event.token_ids) for event in stream]
    return tuple(number for round_ in said for number in round_)


def test_a_seed_repeats_a_sample_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round's block and what it emits, on machines whose times jump about."""
    assert len({drafted_by(steps, monkeypatch, seed=3) for steps in CLOCKS}) == 1
    drawn = set()
    for steps in CLOCKS:  # these clocks have a say where there is no seed
        torch.manual_seed(3)
        drawn.add(drafted_by(steps, monkeypatch))
    assert len(drawn) > 1


def test_strategies_are_built_before_a_round_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: Any, **__: Any) -> None:
        raise AssertionError("built in a round")

    row = watching.row(small.speculator(num_draft_tokens="auto"), "The quick", temperature=1.0)
    fresh = small.speculator(num_draft_tokens="auto")
    for name in ("NgramLookup", "StringLevel", "TokenLevel", "Pushforward", "ClassCoupling"):
        monkeypatch.setattr(registry, name, too_late)
    assert len(row.director.methods) > 1
    for method in row.director.methods:
        assert row.strategies(method)
        with pytest.raises(AssertionError, match="built in a round"):
            fresh.engine.strategy(method)


def forcing(token: int, place: int, start: int) -> Any:
    """A processor that has one token said at one place."""

    def force(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if ids.shape[1] != start + place:
            return scores
        return torch.full_like(scores, -torch.inf).index_fill(-1, torch.tensor(token), 0.0)

    return force


def test_a_stop_string_may_name_a_control_token() -> None:
    pair = small.speculator(swap=True)
    end = small.byte_level().convert_tokens_to_ids("<|im_end|>")
    start = len(small.byte_level()("The quick").input_ids)
    options: dict[str, Any] = {"max_new_tokens": 20, "logits_processor": [forcing(end, 3, start)]}
    out = pair.generate("The quick", stop="<|im_end|>", **options)
    assert (len(out.token_ids), out.token_ids[-1], out.finish_reason) == (4, end, "stop")
    before = pair.bridge.target.decode(out.token_ids[2:3]).decode()
    across = pair.generate("The quick", stop=f"{before}<|im_end|>", **options)
    assert across.token_ids == out.token_ids
    after = pair.generate("The quick", **options)
    assert len(after.token_ids) == 20
    assert after.token_ids[:4] == out.token_ids


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
