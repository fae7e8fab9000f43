"""The bridge alone: no torch, no models; what it accepts, what it refuses, and the file it keeps."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tiktoken
import tokenizers
from safetensors.numpy import save_file
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast

import wheels
from anydraft import Bridge, BridgeFileError, ModelFileError, TokenizerError
from anydraft.bridge.tokenizer_source import TokenizerSource

TEXT = "The naïve café, “two”  spaces:\n\n\tfor i in range(10): print(i)  # 日本語 😀 1234\n"


def byte_level(*words: str, controls: tuple[str, ...] = ("<end>",)) -> tokenizers.Tokenizer:
    """A small byte-level tokenizer that knows these words of two letters."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*alphabet, *words])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab, [(word[0], word[1:]) for word in words]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in controls])
    return tokenizer


def as_transformers() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=byte_level("he", "ll"), eos_token="<end>")


def as_tiktoken() -> tiktoken.Encoding:
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"he": 256, b"ll": 257}
    return tiktoken.Encoding(
        "small", pat_str=r"\s+|\S+", mergeable_ranks=ranks, special_tokens={"<end>": 258}
    )


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
        with pytest.raises(ModelFileError, match=r"tokenizer\.json"):
            Bridge(tmp_path, byte_level("he"))
        (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
        with pytest.raises(TokenizerError, match="not a tokenizer JSON"):
            Bridge(tmp_path, byte_level("he")).core  # noqa: B018

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


class TestFile:
    @pytest.fixture
    def saved(self, tmp_path: Path) -> Path:
        path = tmp_path / "pair.safetensors"
        Bridge(
            byte_level("he", "ll"), byte_level("he", "lo"), to_target=[(258, 258)], to_draft=[(258, 258)]
        ).save(path)
        return path

    def sides(self) -> tuple[tokenizers.Tokenizer, tokenizers.Tokenizer]:
        return byte_level("he", "ll"), byte_level("he", "lo")

    def test_comes_back_whole(self, saved: Path) -> None:
        fresh = Bridge(*self.sides(), to_target=[(258, 258)], to_draft=[(258, 258)])
        loaded = Bridge.load(saved, *self.sides())
        for kept, built in ((loaded.tables, fresh.tables), (loaded.classes, fresh.classes)):
            for name, array in built.arrays().items():
                assert np.array_equal(kept.arrays()[name], array)
                assert kept.arrays()[name].dtype == np.int64
                assert kept.arrays()[name].flags.writeable
        assert loaded.coverage() == fresh.coverage()
        assert loaded.pairs() == fresh.pairs()
        assert np.array_equal(loaded.core.draft_to_target(), loaded.tables.draft_to_target)
        assert loaded.session(prompt=[0]).commit([1], []) == fresh.session(prompt=[0]).commit([1], [])
        assert list(saved.parent.iterdir()) == [saved]

    def test_of_tiktoken_encodings(self, tmp_path: Path) -> None:
        Bridge(as_tiktoken(), byte_level("he")).save(tmp_path / "pair")
        assert Bridge.load(tmp_path / "pair", as_tiktoken(), byte_level("he")).coverage().shared == 257

    def test_survives_padding(self, saved: Path) -> None:
        """A tokenizer that was called with padding in between is the same tokenizer."""
        target, draft = self.sides()
        target.enable_padding(length=8)
        target.enable_truncation(4)
        assert Bridge.load(saved, target, draft).coverage().shared == 257

    def test_refuses_other_tokenizers(self, saved: Path) -> None:
        target, draft = self.sides()
        for sides, role in (
            ((draft, draft), "target"),
            ((target, target), "draft"),
            ((draft, target), "target"),
        ):
            with pytest.raises(BridgeFileError, match=f"got a {role} tokenizer .* Build the bridge again"):
                Bridge.load(saved, *sides)
        more = byte_level("he", "ll", controls=("<end>", "<more>"))
        with pytest.raises(BridgeFileError, match="target"):
            Bridge.load(saved, more, draft)

    def test_refuses_another_version(self, saved: Path) -> None:
        header, body = split(saved)
        header["__metadata__"]["format"] = "anydraft-bridge-999"
        join(saved, header, body)
        with pytest.raises(BridgeFileError, match=r"of format 'anydraft-bridge-999'; expected"):
            Bridge.load(saved, *self.sides())

    def test_refuses_what_is_no_bridge(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        save_file({"weight": np.zeros(3)}, str(other))
        with pytest.raises(BridgeFileError, match="of format None; expected"):
            Bridge.load(other, *self.sides())
        for content in (b"", b"\x00" * 100, b"{}", b"\xff" * 9):
            other.write_bytes(content)
            with pytest.raises(BridgeFileError, match="cannot be read as a bridge"):
                Bridge.load(other, *self.sides())
        with pytest.raises(BridgeFileError, match="cannot be read as a bridge"):
            Bridge.load(tmp_path / "missing", *self.sides())
        with pytest.raises(BridgeFileError, match="cannot be read as a bridge"):
            Bridge.load(tmp_path, *self.sides())

    def test_refuses_a_damaged_one(self, saved: Path) -> None:
        """Every cut, and a changed byte anywhere, is noticed or harmless."""
        whole = saved.read_bytes()
        fresh = Bridge.load(saved, *self.sides())
        for length in range(0, len(whole), max(1, len(whole) // 50)):
            saved.write_bytes(whole[:length])
            with pytest.raises(BridgeFileError):
                Bridge.load(saved, *self.sides())
        for at in range(0, len(whole), max(1, len(whole) // 300)):
            saved.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            try:
                loaded = Bridge.load(saved, *self.sides())
            except BridgeFileError:
                continue
            for name, array in fresh.tables.arrays().items():
                assert np.array_equal(loaded.tables.arrays()[name], array)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BridgeFileError, match="cannot write"):
            Bridge(*self.sides()).save(tmp_path / "no" / "pair")

    def test_the_second_start_builds_nothing(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tables and classes come from the file; tokenizers are read when text is first translated."""
        fresh = Bridge(*self.sides(), to_target=[(258, 258)], to_draft=[(258, 258)])
        tables, classes = fresh.tables, fresh.classes

        def forbidden(*_: object) -> None:
            raise AssertionError("built again")

        monkeypatch.setattr(TokenizerSource, "load", forbidden)
        loaded = Bridge.load(saved, *self.sides())
        assert np.array_equal(loaded.tables.draft_to_target, tables.draft_to_target)
        assert np.array_equal(loaded.classes.class_of, classes.class_of)
        with pytest.raises(AssertionError, match="built again"):
            loaded.session()


def split(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def join(path: Path, header: dict, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


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
