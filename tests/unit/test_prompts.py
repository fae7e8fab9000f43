"""Prompts and chats as ids."""

from __future__ import annotations

import pytest
from tokenizers.processors import TemplateProcessing

from anydraft.bridge import special_tokens
from anydraft.bridge.prompts import encode_prompt, render, render_for_draft
from anydraft.errors import ArgumentError
from test_special_tokens import CHATML, base, fast, instruct, plain

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


def test_what_a_developer_says_reaches_templates_that_know_a_system_only():
    told, tokenizer = [{"role": "developer", "content": "Be brief."}, *CHAT], instruct()
    as_system = render(tokenizer, [{"role": "system", "content": "Be brief."}, *CHAT])
    assert render(tokenizer, told) == as_system
    assert told[0]["role"] == "developer"
    tokenizer.chat_template = "{# knows developer #}" + CHATML
    assert render(tokenizer, told) != as_system


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
        [{"content": "Hi"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": "caf\ud83d"}],
        [{"role": "user", "content": [{"type": "text", "text": "caf\ud83d"}]}],
    ],
)
def test_bad_messages_say_got_and_expected(messages):
    for tokenizer in (instruct(), base()):
        with pytest.raises(ArgumentError, match=r"got .*expected"):
            render(tokenizer, messages)


@pytest.mark.parametrize("message", [{"role": "user"}, {"role": "user", "content": [{"type": "table"}]}])
def test_without_a_template_content_must_be_text(message):
    with pytest.raises(ArgumentError, match=r"got .*expected content that is text"):
        render(base(), [message])


PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% elif m.content is none %}nothing"
    "{% else %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


def test_content_in_every_form_that_the_template_takes():
    tokenizer = instruct()
    tokenizer.chat_template = PARTS
    chat = [
        {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "look"}]},
        {"role": "user", "content": "Hello"},
    ]
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert expected.count("Hello<|im_end|>") == 2
    assert render(tokenizer, chat) == tokenizer(expected, add_special_tokens=False).input_ids


def test_a_draft_reads_parts_as_text():
    chat = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    plain = [{"role": "user", "content": "Hello"}]
    for tokenizer in (instruct(), base()):
        assert render_for_draft(tokenizer, chat) == render(tokenizer, plain)
    assert render(base(), chat) == render(base(), plain)
    picture = [{"role": "user", "content": [{"type": "image"}]}]
    assert render_for_draft(base(), picture) == render(base(), [{"role": "user", "content": ""}])


def test_half_a_surrogate_pair_is_named():
    with pytest.raises(ArgumentError, match=r"a prompt with a lone surrogate, '.ud83d' at character 3"):
        encode_prompt(base(), "caf\ud83d")


class Wrapping:
    """A slow tokenizer that keeps a tiktoken encoding, as those of Qwen and Kimi did."""

    def __init__(self) -> None:
        import tiktoken

        ranks = {bytes([i]): i for i in range(256)} | {b"He": 256, b"ll": 257}
        self.tokenizer = tiktoken.Encoding(
            "small", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens={"<|end|>": 258}
        )

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": self.tokenizer.encode(text, allowed_special="all")}


def test_a_tokenizer_that_wraps_tiktoken():
    import anydraft
    import small

    ids = encode_prompt(Wrapping(), "Hello<|end|>")
    assert ids == [256, 257, ord("o"), 258]
    assert encode_prompt(Wrapping().tokenizer, "Hello<|end|>") == ids
    assert special_tokens.control_tokens(Wrapping()) == {"<|end|>": 258}
    target = small.byte_fallback()
    drafting = small.tiny.llama(259, seed=1)
    pair = anydraft.Speculator(small.model(target), drafting, target, Wrapping(), num_draft_tokens=3)
    assert len(pair.generate("Hello you", max_new_tokens=5).token_ids) == 5
    turned = anydraft.Speculator(drafting, small.model(target), Wrapping(), target, num_draft_tokens=3)
    assert len(turned.generate("Hello you", max_new_tokens=5).token_ids) == 5


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
    from anydraft.loading.folders import load_tokenizer, packaged

    smollm2, gemma3 = load_tokenizer(packaged("smollm2")), load_tokenizer(packaged("gemma3"))
    assert encode_prompt(gemma3, "Hello") == [2, 9259]
    assert encode_prompt(smollm2, "Hello") == [19556]
    assert smollm2.decode(render(smollm2, CHAT[:1])).startswith("<|im_start|>system\n")
    assert gemma3.decode(render(gemma3, CHAT)) == "<bos>user:\nHi <|im_end|>\n\nassistant:\n"
