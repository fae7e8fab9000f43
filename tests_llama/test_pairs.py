"""Any engine with any engine: what users do with a pair works whichever runs the two models."""

from __future__ import annotations

import asyncio
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest
import torch

import anydraft
from anydraft.decoding.loop import decode
from anydraft.errors import ArgumentError, ModelError
from anydraft.models.llama_cpp.source import LlamaCppSource
from anydraft.models.logits import processed_law
from anydraft.sampling.laws import Greedy
from files import alone, file, opened
from real_pair import PROMPTS
from tiny_gguf import write

CODE = PROMPTS[5:9]


@pytest.fixture(scope="module")
def llama() -> Any:
    return opened()


@pytest.fixture(scope="module")
def pair(llama: Any) -> anydraft.Speculator:
    """A target in llama.cpp, a draft in torch."""
    draft, tokenizer = anydraft.drafts.load("tiny")
    return anydraft.Speculator(llama, draft, None, tokenizer, num_draft_tokens=4)


def test_both_in_llama_cpp(llama: Any) -> None:
    decoder = anydraft.Speculator(llama, opened(file("gemma3")), num_draft_tokens=4)
    outs = [decoder.generate(prompt, max_new_tokens=16) for prompt in CODE]
    assert [out.token_ids for out in outs] == [alone(llama, out.prompt_ids, 16) for out in outs]
    assert sum(out.stats.accepted for out in outs) > 4


def test_a_target_in_torch_and_a_draft_in_llama_cpp(llama: Any) -> None:
    target, tokenizer = anydraft.drafts.load("tiny")
    decoder = anydraft.Speculator(target, llama, tokenizer, num_draft_tokens=4)
    prompt = CODE[0]
    out = decoder.generate(prompt, max_new_tokens=24)
    ids = torch.tensor([out.prompt_ids])
    expected = target.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False, use_cache=True
    )
    assert out.token_ids == expected[0, ids.shape[1] :].tolist()
    assert out.stats.accepted > 0
    sampled = decoder.generate(prompt, max_new_tokens=16, temperature=1.0, seed=1)
    assert sampled.token_ids == decoder.generate(prompt, max_new_tokens=16, temperature=1.0, seed=1).token_ids


def test_the_same_file_may_be_both(llama: Any) -> None:
    decoder = anydraft.Speculator(llama, llama, method="tli", num_draft_tokens=3)
    out = decoder.generate(CODE[1], max_new_tokens=16)
    assert out.token_ids == alone(llama, out.prompt_ids, 16)
    assert out.stats.acceptance_rate == 1.0


def test_streams_stops_and_async(pair: anydraft.Speculator) -> None:
    whole = pair.generate(PROMPTS[0], max_new_tokens=20)
    stream = pair.stream(PROMPTS[0], max_new_tokens=20)
    assert "".join(event.text for event in stream) == whole.text

    async def text() -> str:
        return "".join([event.text async for event in pair.astream(PROMPTS[0], max_new_tokens=20)])

    assert asyncio.run(text()) == whole.text
    stopped = pair.generate(PROMPTS[0], max_new_tokens=20, stop=[whole.text[3:8]])
    assert stopped.finish_reason == "stop"


def test_a_chat_keeps_its_caches_and_reads_like_a_fresh_one(pair: anydraft.Speculator, llama: Any) -> None:
    chat = pair.chat(max_new_tokens=12)
    chat.say("Name a colour.")
    again = chat.say("And another.")
    assert again.stats.target_passes >= 1
    assert again.token_ids == alone(llama, again.prompt_ids, 12)
    theirs = llama.create_chat_completion(
        [{"role": m["role"], "content": m["content"]} for m in chat.messages[:-1]],
        max_tokens=12,
        temperature=0.0,
    )
    assert theirs["usage"]["prompt_tokens"] == len(again.prompt_ids)  # one chat template


def test_a_stream_that_is_given_up_leaves_caches_that_are_right(
    pair: anydraft.Speculator, llama: Any
) -> None:
    caches = pair.engine.caches()
    for event in pair.stream(CODE[0], caches=caches, max_new_tokens=20):
        if event.token_ids:
            break
    out = pair.generate(CODE[0] + "return", caches=caches, max_new_tokens=12)
    assert out.token_ids == alone(llama, out.prompt_ids, 12)


def test_seeds_repeat(pair: anydraft.Speculator) -> None:
    options: Any = {"max_new_tokens": 16, "temperature": 0.9, "seed": 3}
    assert pair.generate(CODE[2], **options).token_ids == pair.generate(CODE[2], **options).token_ids


@pytest.mark.parametrize("draft", ["tiny", "itself"])
def test_rows_of_a_batch_go_on_while_others_end(pair: anydraft.Speculator, llama: Any, draft: str) -> None:
    itself = anydraft.Speculator(llama, llama, method="tli", num_draft_tokens=3)
    engine, law = (pair if draft == "tiny" else itself).engine, processed_law(temperature=0)
    targets, drafts = engine.target_sequences(3), engine.draft_sequences(3)
    rows = [
        engine.row(
            engine.prompt(prompt),
            anydraft.decoding.caches.PairCaches(target, draft),
            law=law,
            draft_law=law.without_prefix,
            randomness=Greedy(),
            max_new_tokens=length,
        )
        for prompt, target, draft, length in zip(CODE, targets, drafts, (4, 16, 10), strict=False)
    ]
    texts: list[list[int]] = [[], [], []]
    for i, event in decode(rows):
        texts[i] += event.token_ids
    assert [len(text) for text in texts] == [4, 16, 10]
    equal = [
        sum(a == b for a, b in zip(text, alone(llama, engine.prompt(prompt).ids, len(text)), strict=True))
        for text, prompt in zip(texts, CODE, strict=False)
    ]
    assert sum(equal) >= 20  # in passes of more rows near ties may fall otherwise


def test_a_plan_can_be_measured(pair: anydraft.Speculator) -> None:
    from anydraft.planner import measure

    found = measure(pair, 0.0, CODE[:1], ["slem"], 16)
    assert found.pair == pair.engine.identity
    assert "llama.cpp" in found.pair["target"]


def test_a_draft_that_is_closed_is_left_out() -> None:
    draft = opened(file("gemma3"))
    target = opened()
    decoder = anydraft.Speculator(target, draft, num_draft_tokens=3)
    stream = iter(decoder.stream(CODE[0], max_new_tokens=12))
    next(stream)
    draft.close()
    events = list(stream)
    assert any("closed" in (event.draft_failure or "") for event in events)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": "packed"}, "weights='packed' and a model that llama.cpp runs"),
        ({"draft_head": "shared"}, "draft_head='shared' and a model that llama.cpp runs"),
        ({"draft_weights": "int8"}, "draft_weights='int8' and a model that llama.cpp runs"),
        ({"compile": True}, "two models that llama.cpp runs"),
    ],
)
def test_options_for_torch_are_refused(
    llama: Any, pair: anydraft.Speculator, options: Any, said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        anydraft.Speculator(llama, llama, *[pair.engine.tokenizers[0]] * 2, **options)


def test_a_model_of_torch_needs_its_tokenizer(llama: Any) -> None:
    with pytest.raises(ArgumentError, match="got no draft_tokenizer"):
        anydraft.Speculator(llama, anydraft.drafts.load("tiny").model)


def test_a_file_of_only_a_vocabulary_is_refused(llama: Any) -> None:
    with pytest.raises(ModelError, match="vocab_only=True"):
        anydraft.Speculator(opened(vocab_only=True), llama)


def test_the_users_settings_hold(llama: Any) -> None:
    given = opened(n_ctx=768, n_batch=128, n_threads=2, n_threads_batch=1, type_k=8, type_v=8)  # Q8_0
    decoder = anydraft.Speculator(given, llama, num_draft_tokens=3)
    context = decoder.engine.sequences()[0].context  # type: ignore[attr-defined]
    api, handle = context._api, context._handle
    assert (context.window, api.llama_n_batch(handle)) == (768, 128)
    assert (api.llama_n_threads(handle), api.llama_n_threads_batch(handle)) == (2, 1)
    assert decoder.engine.sequences()[0].window == 768
    out = decoder.generate(CODE[3], max_new_tokens=12)
    assert out.token_ids == alone(given, out.prompt_ids, 12)
    assert out.token_ids != decoder.generate(CODE[2], max_new_tokens=12).token_ids


def test_a_text_may_fill_the_window(tmp_path: Any) -> None:
    llama = opened(write(tmp_path / "tiny.gguf"), n_ctx=256)
    decoder = anydraft.Speculator(llama, llama, num_draft_tokens=4, method="slem")
    out = decoder.generate("the thing " * 20, max_new_tokens=1000, eos_token_id=[])
    assert len(out.prompt_ids) + len(out.token_ids) == 256
    assert out.finish_reason == "window"


def test_a_lora_adapter_holds(tmp_path: Any) -> None:
    base, adapter = write(tmp_path / "tiny.gguf"), lora(tmp_path / "lora.gguf")
    adapted = opened(base, n_ctx=256, lora_path=str(adapter), logits_all=True)
    adapted.eval([5, 6, 7])
    expected = torch.from_numpy(adapted.scores[:3].copy())
    ids = torch.tensor([5, 6, 7])
    assert torch.equal(LlamaCppSource(adapted).sequence().advance(ids, 3), expected)
    plain = LlamaCppSource(opened(base, n_ctx=256)).sequence().advance(ids, 3)
    assert not torch.allclose(plain, expected, atol=0.1)


def lora(path: Any) -> Any:
    """An adapter of one matrix of the tiny model."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    random = np.random.default_rng(1)
    for name, shape in (("lora_a", (4, 64)), ("lora_b", (64, 4))):
        writer.add_tensor(f"blk.0.attn_v.weight.{name}", random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("asked", "said"),
    [("llama_model_has_encoder", "decoder-only"), ("llama_model_is_diffusion", "left to right")],
)
def test_other_kinds_of_models_are_refused(
    llama: Any, monkeypatch: pytest.MonkeyPatch, asked: str, said: str
) -> None:
    monkeypatch.setattr(llama_cpp.llama_cpp, asked, lambda _: True)
    with pytest.raises(ModelError, match=said):
        anydraft.Speculator(llama, llama)


@pytest.mark.parametrize("fact", [{"bert.attention.causal": "false"}, {"qwen3.pooling_type": "3"}])
def test_models_of_embeddings_are_refused(llama: Any, monkeypatch: pytest.MonkeyPatch, fact: Any) -> None:
    monkeypatch.setattr(llama, "metadata", fact)
    with pytest.raises(ModelError, match="embeddings"):
        anydraft.Speculator(llama, llama)


def test_a_small_file_made_here_runs(tmp_path: Any) -> None:
    llama = opened(write(tmp_path / "tiny.gguf"), n_ctx=256)
    decoder = anydraft.Speculator(llama, llama, num_draft_tokens=2, method="slem")
    out = decoder.generate("the thing", max_new_tokens=12)
    assert out.token_ids == alone(llama, out.prompt_ids, 12)
