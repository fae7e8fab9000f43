"""A GGUF file's tokenizer against llama.cpp's own, on 10,000 hard texts: the same ids, or a difference that
is named here."""

from __future__ import annotations

import ctypes
import random
from functools import cache
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp import Llama
from llama_cpp import llama_cpp as api

import anydraft
import texts as drawn
from anydraft.bridge.prompts import encode_prompt, render
from files import file
from texts import FRAGMENTS

Name = Literal["smollm2", "gemma3"]

SPACE = "▁"
"""A space in SentencePiece files: written in a text, both take it for one, but merge it differently."""


@cache
def texts() -> list[str]:
    rng = random.Random(17)

    def point(end: int) -> str:
        code = rng.randrange(end)
        return "?" if 0xD800 <= code < 0xE000 else chr(code)

    def text() -> str:
        kind = rng.random()
        if kind < 0.5:
            return "".join(rng.choice(FRAGMENTS) for _ in range(rng.randint(1, 12)))
        if kind < 0.7:
            return "".join(rng.choice(" \n\r\taA1's.é世\u0301\u00a0/") for _ in range(rng.randint(1, 30)))
        if kind < 0.85:
            return "".join(point(rng.choice([0x80, 0x800, 0x110000])) for _ in range(rng.randint(1, 20)))
        return "".join(rng.choice([rng.choice(FRAGMENTS), point(0x3000)]) for _ in range(rng.randint(1, 12)))

    return [text() for _ in range(10_000)]


@cache
def sides(name: Name) -> tuple[Any, Any, anydraft.Tokenizer]:
    tokenizer = anydraft.load_tokenizer(file(name))
    llama = Llama(str(file(name)), vocab_only=True, verbose=False)
    return llama, tokenizer, anydraft.Bridge(tokenizer, tokenizer).target


def named(name: Name, text: str, core: anydraft.Tokenizer) -> bool:
    """Whether a text has what the two are known to read in different ways."""
    if name == "smollm2":
        return core.encode(text.encode()) is None  # bytes that no token has: both lose them
    return SPACE in text


@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_prompts_have_the_same_ids(name: Name) -> None:
    llama, tokenizer, core = sides(name)
    compared = 0
    for text in texts():
        if not named(name, text, core):
            theirs = llama.tokenize(text.encode(), add_bos=True, special=True)
            assert encode_prompt(tokenizer, text) == theirs, text
            compared += 1
    assert compared > 8000


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(["smollm2", "gemma3"]), drawn.texts)
def test_prompts_that_are_drawn_have_the_same_ids(name: Name, text: str) -> None:
    llama, tokenizer, core = sides(name)
    if text and not named(name, text, core):
        theirs = llama.tokenize(text.encode(), add_bos=True, special=True)
        assert encode_prompt(tokenizer, text) == theirs


@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_text_that_is_no_control_token_has_the_same_ids(name: Name) -> None:
    llama, _, core = sides(name)
    own = [
        i
        for i in range(llama.n_vocab())
        if llama._model.token_get_attr(i) & api.LLAMA_TOKEN_ATTR_USER_DEFINED
    ]
    contents = [piece(llama, i).decode() for i in own]  # these llama.cpp finds in any text
    written = [content for content in contents if content.strip() and not content.startswith("<unused")]
    compared = 0
    for text in texts():
        if not named(name, text, core) and not any(content in text for content in written):
            assert core.encode(text.encode()) == llama.tokenize(text.encode(), add_bos=False), text
            compared += 1
    assert compared > 7000


@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_tokens_have_the_same_bytes(name: Name) -> None:
    llama, _, core = sides(name)
    for i in range(llama.n_vocab()):
        control = llama._model.token_get_attr(i) & (
            api.LLAMA_TOKEN_ATTR_CONTROL | api.LLAMA_TOKEN_ATTR_UNUSED
        )
        if not control:
            assert core.decode([i]) == piece(llama, i), i


def test_chats_have_the_same_ids() -> None:
    llama, tokenizer, _ = sides("smollm2")
    messages = [
        {"role": "user", "content": "Hi  1"},
        {"role": "assistant", "content": "Yes\n\n2"},
        {"role": "user", "content": "Why?"},
    ]
    formatter = Llama(str(file()), vocab_only=True, verbose=False)._chat_handlers["chat_template.default"]
    prompt = formatter.__closure__[0].cell_contents(messages=messages).prompt  # type: ignore[union-attr, index]
    assert render(tokenizer, messages) == llama.tokenize(prompt.encode(), add_bos=False, special=True)


def piece(llama: Llama, token: int) -> bytes:
    """What llama.cpp writes for a token."""
    room = ctypes.create_string_buffer(256)
    size = api.llama_token_to_piece(llama._model.vocab, token, room, 256, 0, True)
    return room.raw[:size]
