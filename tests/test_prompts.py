"""Prompts and chats as ids."""

from __future__ import annotations

import pytest
from tokenizers.processors import TemplateProcessing

from anydraft.errors import ArgumentError
from anydraft.prompts import encode_prompt, render
from test_pairs import CHATML, base, fast, instruct, plain

CHAT = [{"role": "user", "content": "Hi <|im_end|>"}]


def with_bos():
    tokenizer = base()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", 2)]
    )
    return tokenizer


def test_a_prompt_is_encoded_as_the_tokenizer_does():
    for tokenizer in (with_bos(), base(), instruct()):
        for text in ("Hello", " é\n", "a<|im_end|>b<eos>"):
            assert encode_prompt(tokenizer, text) == tokenizer(text).input_ids
            assert encode_prompt(tokenizer.backend_tokenizer, text) == tokenizer(text).input_ids
    assert encode_prompt(with_bos(), "Hello")[0] == 2


def test_tiktoken():
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([i]): i for i in range(256)}
    encoding = tiktoken.Encoding(
        "bytes", pat_str=".", mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 256}
    )
    assert encode_prompt(encoding, "ab<|endoftext|>") == [97, 98, 256]
    with pytest.raises(ArgumentError, match="BOS"):
        encode_prompt(encoding, "")


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [(with_bos(), [2]), (base(), [2]), (instruct(), [1]), (plain("<s>"), [0])],
)
def test_an_empty_prompt_is_the_bos(tokenizer, expected):
    assert encode_prompt(tokenizer, "") == expected


@pytest.mark.parametrize("tokenizer", [plain("</s>"), fast("</s>", eos_token="</s>")])
def test_an_empty_prompt_without_bos_is_refused(tokenizer):
    with pytest.raises(ArgumentError, match=r"empty prompt.*BOS"):
        encode_prompt(tokenizer, "")


@pytest.mark.parametrize("prompt", [None, b"bytes", [1, 2], 3])
def test_a_prompt_must_be_a_string(prompt):
    with pytest.raises(ArgumentError, match="expected a string"):
        encode_prompt(base(), prompt)


@pytest.mark.parametrize("chat", [CHAT, [{"role": "system", "content": ""}, *CHAT], tuple(CHAT)])
def test_a_chat_by_the_tokenizers_own_template(chat):
    tokenizer = instruct()
    expected = tokenizer.apply_chat_template(list(chat), add_generation_prompt=True, tokenize=False)
    ids = render(tokenizer, chat)
    assert type(ids) is list
    assert ids == tokenizer(expected, add_special_tokens=False).input_ids
    assert tokenizer.decode(ids).endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize("tokenizer", [with_bos(), with_bos().backend_tokenizer])
def test_a_chat_without_template_is_plain_text(tokenizer):
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    text = "system:\nBe brief.\n\nuser:\nHi\n\nassistant:\n"
    assert render(tokenizer, chat) == encode_prompt(tokenizer, text)
    assert render(tokenizer, chat)[0] == 2


def test_a_template_that_refuses_is_an_argument_error():
    tokenizer = instruct()
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}" + CHATML
    with pytest.raises(ArgumentError, match="System role not supported"):
        render(tokenizer, CHAT)


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "Hi",
        {"role": "user", "content": "Hi"},
        ["Hi"],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
    ],
)
def test_bad_messages_say_got_and_expected(messages):
    for tokenizer in (instruct(), base()):
        with pytest.raises(ArgumentError, match=r"got .*expected"):
            render(tokenizer, messages)


@pytest.mark.parametrize("kind", ["transformers", "tokenizers"])
def test_truncation_and_padding_of_the_users_tokenizer_are_ignored_and_kept(kind):
    tokenizer = instruct()
    expected, chat = encode_prompt(tokenizer, "Hello you"), render(tokenizer, CHAT)
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(4, direction="left")
    backend.enable_padding(length=50)
    before = backend.to_str()
    used = tokenizer if kind == "transformers" else backend
    assert encode_prompt(used, "Hello you") == expected
    if kind == "transformers":
        assert render(used, CHAT) == chat
    assert backend.to_str() == before


@pytest.mark.real
def test_the_real_pair():
    from anydraft.models.files import load_tokenizer, packaged

    smollm2, gemma3 = load_tokenizer(packaged("smollm2")), load_tokenizer(packaged("gemma3"))
    assert encode_prompt(gemma3, "Hello") == [2, 9259]
    assert encode_prompt(smollm2, "Hello") == [19556]
    assert smollm2.decode(render(smollm2, CHAT[:1])).startswith("<|im_start|>system\n")
    assert gemma3.decode(render(gemma3, CHAT)) == "<bos>user:\nHi <|im_end|>\n\nassistant:\n"
