"""The drafts that come with anydraft: their files, their cards, and that they draft."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import anydraft
import real_pair
import small
from anydraft import drafts
from anydraft.bridge import special_tokens
from anydraft.errors import ArgumentError, ModelFileError
from anydraft.loading.quantised import FILE, load_quantised, save_quantised
from anydraft.training.card import card
from anydraft.training.record import Record
from anydraft.training.tasks import held_out_tasks, training_tasks

ROOT = Path(__file__).parents[2]
LARGEST = 8_000_000


@cache
def tiny() -> drafts.Draft:
    return drafts.load("tiny")


def test_it_is_small_and_complete() -> None:
    folder = Path(drafts.__file__).parent / "tiny"
    assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST
    model, tokenizer = tiny()
    assert model.dtype == torch.float32
    assert not model.training
    assert len(tokenizer) == model.config.vocab_size
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_it_writes_all_bytes_and_can_end() -> None:
    _, tokenizer = tiny()
    text = "def f(x):\n\treturn 'Grüße 🙂'  # 日本"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    roles = special_tokens.special_roles(tokenizer)
    assert roles["eos"]
    assert roles["end_of_turn"]


def test_it_has_learnt_something() -> None:
    model, tokenizer = tiny()
    for text in ("The capital of France is a beautiful city.", "def add(a, b):\n    return a + b\n"):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        loss = model(ids, labels=ids).loss.item()
        assert loss < 7.0  # an untrained one: ln 6144 = 8.7


def test_the_cards_numbers_are_the_records() -> None:
    record = Record.load(ROOT / "docs/drafts/tiny.json")
    assert (ROOT / "docs/drafts/tiny.md").read_text(encoding="utf-8") == card("tiny", record)
    assert record.parameters == sum(p.numel() for p in tiny().model.parameters())
    assert record.vocabulary == len(tiny().tokenizer)
    assert set(record.measured) == {"SmolLM2-135M-Instruct", "Gemma-3-270M"}
    recipe = (ROOT / "recipes/tiny.sh").read_text()
    assert f"--seed {record.seed} " in recipe
    assert f"--texts {record.texts} " in recipe
    assert f"\ntrain {record.steps}\n" in recipe


def test_another_name_is_refused() -> None:
    with pytest.raises(ArgumentError, match="tiny"):
        drafts.load("huge")  # type: ignore[arg-type]


def test_quantised_weights_are_within_half_a_step_and_ties_stay(tmp_path: Path) -> None:
    for tied in (True, False):
        model: Any = small.model(small.byte_level(), tie_word_embeddings=tied)
        save_quantised(model, tmp_path)
        loaded = load_quantised(tmp_path)
        for (name, weight), other in zip(
            model.state_dict().items(), loaded.state_dict().values(), strict=True
        ):
            step = weight.abs().amax(-1, keepdim=True) / 127 if weight.dim() > 1 else torch.zeros(1)
            assert bool(((weight - other).abs() <= step * 0.501).all()), name
        assert (loaded.lm_head.weight is loaded.get_input_embeddings().weight) is tied
        assert not loaded.training
        assert loaded.generation_config.eos_token_id == model.generation_config.eos_token_id
    (tmp_path / FILE).unlink()
    with pytest.raises(ModelFileError, match="a quantised model cannot be read"):
        load_quantised(tmp_path)


@pytest.mark.parametrize("method", ["slem", "slrs"])
def test_it_drafts_for_any_target(method: Any) -> None:
    target, tokenizer = small.model(small.byte_fallback()), small.byte_fallback()
    pair = anydraft.Speculator(target, tiny().model, tokenizer, tiny().tokenizer, method=method)
    said = pair.generate("The quick", max_new_tokens=12)
    ids = torch.tensor([tokenizer("The quick")["input_ids"]])
    assert (
        said.token_ids == target.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :].tolist()
    )
    assert not said.draft_failure


@pytest.mark.real
@pytest.mark.parametrize("kind", ["code", "prose"])
def test_greedy_output_of_smollm2_is_its_own_and_comes_in_fewer_passes(kind: Any) -> None:
    target, tokenizer = real_pair.model("smollm2"), real_pair.tokenizer("smollm2")
    pair = anydraft.Speculator(target, tiny().model, tokenizer, tiny().tokenizer, num_draft_tokens=3)
    learnt = {task.text for task in training_tasks(10**6, 0)}
    tokens = passes = 0
    for task in [task for task in held_out_tasks(6, 11, kind) if not task.chat]:
        assert task.text not in learnt
        ids = torch.tensor([tokenizer(task.text)["input_ids"]])
        alone = target.generate(ids, max_new_tokens=32, do_sample=False)[0, ids.shape[1] :].tolist()
        said = pair.generate(task.text, max_new_tokens=32)
        assert said.token_ids == alone
        tokens += said.stats.tokens
        passes += said.stats.target_passes
    assert tokens / passes > 1.2
