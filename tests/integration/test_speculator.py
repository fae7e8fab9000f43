"""``Speculator`` on tiny random models: the target alone is the reference."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import anydraft
import small
import watching
from anydraft.proposers.registry import Method
from plain import METHODS, alone

PROMPTS = ["The quick", "def fib(n):\n    ", "Ça va", "日本 🙂", "12345 "]


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


def test_decoding_ends_at_the_targets_window() -> None:
    target, draft = small.byte_fallback(), small.byte_level()
    model = small.model(target)
    model.config.max_position_embeddings = 24
    pair = anydraft.Speculator(model, small.model(draft), target, draft)
    out = pair.generate("The quick", max_new_tokens=100)
    assert out.finish_reason == "window"
    assert len(out.prompt_ids) + len(out.token_ids) == 24


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
    pair = anydraft.Speculator(*models, target, draft, method=method, num_draft_tokens=3)
    for temperature in (0.0, 1.0):
        out = pair.generate("The quick", max_new_tokens=20, temperature=temperature, seed=0)
        assert out.stats.drafted > 0 or method == "auto"  # which may find that it does not pay
        assert out.draft_failure is None


def test_under_autocast_the_models_run_themselves() -> None:
    """In bfloat16 a block rounds otherwise than a token, so the whole text may differ."""
    pair = small.speculator(num_draft_tokens=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = pair.generate("The quick", max_new_tokens=20)
        assert out.token_ids[0] == alone(pair.engine.models[0], out.prompt_ids, 1)[0]
    assert out.stats.drafted > 0
    assert out.draft_failure is None


def test_input_ids_may_be_a_tensor() -> None:
    pair = small.speculator()
    expected = pair.generate(input_ids=[5, 6, 7], max_new_tokens=5).token_ids
    assert pair.generate(input_ids=torch.tensor([5, 6, 7]), max_new_tokens=5).token_ids == expected
    assert pair.generate(input_ids=torch.tensor([[5, 6, 7]]), max_new_tokens=5).token_ids == expected
    for bad in ([-1], [2**40], [[5], [6]], [1.5], torch.tensor([[5], [6]])):
        with pytest.raises(anydraft.ArgumentError, match="input_ids"):
            pair.generate(input_ids=bad)


def test_a_draft_whose_template_refuses_a_chat_reads_it_as_text() -> None:
    target, draft = small.byte_fallback(), copy.deepcopy(small.byte_level())
    draft.chat_template = "{{ raise_exception('no system role') }}"
    pair = anydraft.Speculator(small.model(target), small.model(draft), target, draft)
    row = watching.row(pair, pair.engine.prompt(messages=[{"role": "system", "content": "The quick"}]))
    assert row.draft is not None
    assert draft.decode(row.draft.ids).startswith("system:")
    assert len(list(watching.rounds(row))) > 0


def forcing(token: int, place: int, start: int) -> Any:
    """A processor that has one token said at one place."""

    def force(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if ids.shape[1] != start + place:
            return scores
        return torch.full_like(scores, -torch.inf).index_fill(-1, torch.tensor(token), 0.0)

    return force


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("swap", [False, True])
def test_a_prompt_with_ids_of_padded_rows(method: Method, swap: bool) -> None:
    """A model has rows beyond its tokenizer, and may say one of them: they are read, and are no text."""
    parts = small.pair(swap=swap)
    pair = small.join(parts, method=method)
    size, width = len(pair.bridge.target), parts[0].config.vocab_size
    assert size + 2 <= width
    words = pair.engine.prompt("The quick").ids
    for ids in ([*words, size], [width - 1, *words], [*words, size + 1, *words, width - 1, size], [size]):
        out = pair.generate(input_ids=ids, max_new_tokens=24)
        assert out.token_ids == alone(parts[0], ids, 24)
        assert out.prompt_ids == ids
        sampled = [pair.generate(input_ids=ids, max_new_tokens=8, temperature=1.5, seed=3) for _ in range(2)]
        assert sampled[0].token_ids == sampled[1].token_ids
    with pytest.raises(anydraft.ArgumentError, match=rf"got {width} in input_ids; .* 0 to {width - 1}"):
        pair.generate(input_ids=[*words, width])


@pytest.mark.parametrize("method", METHODS)
def test_what_a_model_says_of_its_padded_rows_may_be_read_again(method: Method) -> None:
    target, *others = small.pair()
    target = copy.deepcopy(target)
    size = len(others[1])
    with torch.no_grad():
        target.lm_head.weight[size:] *= 3.0
    pair = anydraft.Speculator(target, *others, method=method, num_draft_tokens=5)
    ids = pair.engine.prompt("The quick").ids
    options: dict[str, Any] = {"max_new_tokens": 24, "eos_token_id": []}
    said = pair.generate(input_ids=ids, **options)
    beyond = [token for token in said.token_ids if token >= size]
    assert beyond
    assert said.text == pair.bridge.target.decode([t for t in said.token_ids if t < size]).decode(
        errors="replace"
    )
    at = said.token_ids.index(beyond[0]) + 1
    again = pair.generate(input_ids=[*ids, *said.token_ids[:at]], **options).token_ids
    assert again[: 24 - at] == said.token_ids[at:]


def test_a_stop_string_does_not_begin_in_the_prompt() -> None:
    pair, prompt = small.speculator(), "The quick"
    plain = pair.generate(prompt, max_new_tokens=20)
    across = prompt[-1] + plain.text[0]
    assert across not in plain.text
    assert pair.generate(prompt, max_new_tokens=20, stop=across).token_ids == plain.token_ids


def test_stop_strings_from_an_iterator() -> None:
    pair = small.speculator()
    options: dict[str, Any] = {"max_new_tokens": 20, "eos_token_id": []}
    plain = pair.generate("The quick", **options)
    string = pair.bridge.target.decode(plain.token_ids[4:6]).decode(errors="ignore").strip()
    expected = pair.generate("The quick", stop=[string], **options)
    assert (expected.finish_reason, plain.finish_reason) == ("stop", "length")
    for stop in (iter([string]), map(str, [string]), (s for s in [string])):
        assert pair.generate("The quick", stop=stop, **options).token_ids == expected.token_ids  # type: ignore[arg-type]


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
