"""The bridge alone: no torch, no models; what it accepts, what it refuses, and what it tells."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers
from transformers import BertTokenizer

import wheels
from anydraft import Bridge, ModelFileError, TokenizerError
from byte_tokenizers import TEXT, as_tiktoken, as_transformers, byte_level


class TestAccepted:
    def test_tokenizer_of_transformers(self) -> None:
        assert Bridge(as_transformers(), byte_level("he")).draft.encode(b"hello") is not None

    def test_every_form_gives_the_same_vocabulary(self, tmp_path: Path) -> None:
        plain = byte_level("he", "ll")
        plain.save(str(tmp_path / "tokenizer.json"))
        forms = [
            plain,
            as_transformers(),
            tmp_path,
            tmp_path / "tokenizer.json",
            str(tmp_path),
            as_tiktoken(),
        ]
        forms.append(Bridge(plain, plain).target)
        for form in forms:
            bridge = Bridge(form, plain)
            assert bridge.coverage().shared == 258
            ids = bridge.target.encode(b"hello")
            assert [bridge.target.bytes(i) for i in ids] == [b"he", b"ll", b"o"]
            assert list(bridge.target.special_tokens.values()) == ["<end>"]
            assert bridge.tables.target_to_draft[max(bridge.target.special_tokens)] == 258

    def test_padding_and_truncation_do_not_matter(self) -> None:
        plain, used = byte_level("he"), byte_level("he")
        used.enable_padding(length=32)
        used.enable_truncation(2)
        bridge = Bridge(used, plain)
        assert len(bridge.target.encode(b"hello there")) > 2
        assert bridge.target.fingerprint == bridge.draft.fingerprint
        assert json.loads(used.to_str())["padding"] is not None


def bert() -> BertTokenizer:
    return BertTokenizer(
        vocab={"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "[MASK]": 4, "a": 5, "##b": 6}
    )


def lower_casing() -> tokenizers.Tokenizer:
    tokenizer = byte_level("he")
    tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def splitting_words() -> tokenizers.Tokenizer:
    tokenizer = byte_level("he")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), tokenizer.pre_tokenizer]
    )
    return tokenizer


def without_byte_form() -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer(models.WordLevel({"hello": 0, "[UNK]": 1}, unk_token="[UNK]"))


def slow_tokenizer() -> object:
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer()


class TestRefused:
    @pytest.mark.parametrize(
        ("make", "got"),
        [
            (bert, "BertNormalizer"),
            (lower_casing, "normalizer Lowercase"),
            (splitting_words, "WhitespaceSplit"),
            (without_byte_form, "model WordLevel"),
            (slow_tokenizer, "ByT5Tokenizer"),
            (object, "object"),
            (lambda: 7, "int"),
            (lambda: None, "NoneType"),
        ],
        ids=["bert", "lower-casing", "splitting", "no-bytes", "slow", "object", "int", "none"],
    )
    def test_with_what_was_got_what_is_expected_and_what_to_do(
        self, make: Callable[[], object], got: str
    ) -> None:
        with pytest.raises(TokenizerError) as error:
            Bridge(byte_level("he"), make()).core  # noqa: B018
        message = str(error.value)
        assert got in message
        assert "expected" in message
        assert isinstance(error.value, ValueError)
        assert "\n" not in message
        assert len(message) < 500

    def test_the_message_says_which_side(self) -> None:
        with pytest.raises(TokenizerError, match="target"):
            Bridge(lower_casing(), byte_level("he")).core  # noqa: B018
        with pytest.raises(TokenizerError, match="draft"):
            Bridge(byte_level("he"), lower_casing()).core  # noqa: B018

    def test_a_path_without_a_tokenizer(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="a tokenizer cannot be read"):
            Bridge(tmp_path, byte_level("he"))
        (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
        with pytest.raises(ModelFileError, match="a tokenizer cannot be read"):
            Bridge(tmp_path, byte_level("he"))

    def test_the_users_tokenizer_is_untouched(self) -> None:
        tokenizer = as_transformers()
        before = tokenizer.backend_tokenizer.to_str(), tokenizer(TEXT)
        Bridge(tokenizer, tokenizer).core  # noqa: B018
        assert (tokenizer.backend_tokenizer.to_str(), tokenizer(TEXT)) == before


def test_neither_torch_nor_transformers_is_imported() -> None:
    code = (
        "import sys, anydraft, tokenizers\n"
        "bridge = anydraft.Bridge(*[anydraft.Tokenizer.from_tiktoken([(b'a', 0)], [], 'a')] * 2)\n"
        "bridge.tables, bridge.coverage(), bridge.session().commit([0], [])\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_an_interrupt_between_any_two_lines_locks_nobody_out() -> None:
    code = (
        "import sys, anydraft\n"
        "bridge = anydraft.Bridge(*[anydraft.Tokenizer.from_tiktoken([(b'a', 0)], [], 'a')] * 2)\n"
        "for at in range(1, 12):\n"
        "    left = [at]\n"
        "    def trace(frame, event, arg):\n"
        "        left[0] -= event == 'line'\n"
        "        if not left[0]: sys.settrace(None); raise KeyboardInterrupt\n"
        "        return trace\n"
        "    sys.settrace(trace)\n"
        "    try: bridge.session(), bridge.target\n"
        "    except KeyboardInterrupt: pass\n"
        "    sys.settrace(None)\n"
        "    bridge.session(), bridge.target\n"
        "print('usable')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "usable"


@cache
def real_bridge() -> Bridge:
    return Bridge(wheels.pair("gemma3").ours, wheels.pair("smollm2").ours)


class TestUsage:
    def test_counts_shared_tokens_of_a_text(self) -> None:
        bridge = real_bridge()
        sides = wheels.pair("gemma3").wheel, wheels.pair("smollm2").wheel
        expected = []
        for side, other in (sides, sides[::-1]):
            tokens = [side.token_bytes[i] for i in side.encode(TEXT)]
            known = set(other.token_bytes.values())
            expected.append(sum(token in known for token in tokens) / len(tokens))
        usage = bridge.usage(TEXT)
        assert [usage.target, usage.draft] == expected
        assert 0.5 < usage.draft < 1

    def test_of_nothing(self) -> None:
        usage = real_bridge().usage("")
        assert (usage.target, usage.draft) == (0, 0)

    def test_of_a_text_with_a_character_that_a_side_cannot_write(self) -> None:
        usage, clean = (real_bridge().usage(text) for text in ("The cat\x04", "The cat"))
        assert usage.draft == clean.draft == 1


def test_threads_share_a_bridge() -> None:
    """Built once by whoever comes first; every thread's session says what a lone one says."""
    target, draft = wheels.pair("gemma3").ours, wheels.pair("smollm2").ours
    bridge = Bridge(target, draft)
    texts = [f"{TEXT}{n} " * 3 for n in range(8)]

    def work(text: str) -> tuple[object, ...]:
        session = bridge.session(view=[1])
        said = [session.commit([i], []) for i in target.encode(text.encode())]
        proposal = session.propose(draft.encode(text.encode()))
        return said, session.view(), proposal, id(bridge.core)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(work, texts * 4))
    assert together == [work(text) for text in texts] * 4
