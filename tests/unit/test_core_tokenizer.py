"""The core's tokenizer at the border: what each property and method says, on small tokenizers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Wheel

import texts
from anydraft import Bridge, Tokenizer, TokenizerError
from anydraft._core import fingerprint, tiktoken_fingerprint

BYTES = [(bytes([byte]), byte) for byte in range(256)]


def byte_level() -> Wheel:
    """All bytes, two words, a control token, a plain added token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*alphabet, "he", "Ġhe"])}
    wheel = Wheel(models.BPE(vocab, [("h", "e"), ("Ġ", "he")]))
    wheel.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    wheel.decoder = decoders.ByteLevel()
    wheel.add_special_tokens([AddedToken("<end>", special=True, normalized=False)])
    wheel.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    return wheel


def sentencepiece() -> Wheel:
    """Byte fallback, a dummy prefix, and two tokens that stand for "A"."""
    vocab = {"<unk>": 0, "<s>": 1} | {f"<0x{byte:02X}>": 2 + byte for byte in range(256)}
    for token in ["▁", "h", "e", "he", "▁he", "A"]:
        vocab[token] = len(vocab)
    wheel = Wheel(
        models.BPE(vocab, [("h", "e"), ("▁", "he")], unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    wheel.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    wheel.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    wheel.add_special_tokens([AddedToken("<s>", special=True, normalized=False)])
    return wheel


def tiktoken_parts() -> tuple[list[tuple[bytes, int]], list[tuple[str, int]], str]:
    """Ids begin at 10, with a gap after the bytes."""
    ranks = [(token, i + 10) for token, i in BYTES] + [(b"he", 300)]
    return ranks, [("<end>", 3)], r"\s+|\S+"


def ours(wheel: Wheel) -> Tokenizer:
    return Tokenizer.from_json(wheel.to_str())


def test_byte_level() -> None:
    tokenizer = ours(byte_level())
    assert len(tokenizer) == 260
    assert (tokenizer.surface, tokenizer.dummy_prefix) == ("byte-level", False)
    assert (tokenizer.string_lossy, tokenizer.missing_bytes) == (False, b"")
    assert tokenizer.special_tokens == {258: "<end>"}
    assert [tokenizer.kind(i) for i in (0, 256, 258, 259, 260)] == [
        "text",
        "text",
        "special",
        "added",
        "unused",
    ]
    assert [tokenizer.bytes(i) for i in (257, 258, 259, 260)] == [b" he", b"", b"<tool>", b""]
    assert tokenizer.encode(b"he he<end><tool>") == [
        256,
        257,
        *(tokenizer.find(bytes([byte])) for byte in b"<end>"),
        259,
    ]


def test_sentencepiece() -> None:
    tokenizer = ours(sentencepiece())
    assert (tokenizer.surface, tokenizer.dummy_prefix) == ("sentencepiece", True)
    assert tokenizer.special_tokens == {0: "<unk>", 1: "<s>"}
    assert (tokenizer.kind(2 + 0x41), tokenizer.bytes(2 + 0x41)) == ("byte", b"A")
    assert tokenizer.find(b"A") == 263, "the text token, not the byte token"
    assert [tokenizer.bytes(i) for i in tokenizer.encode("he heA世".encode())] == [
        b"he", b" he", b"A", b"\xe4", b"\xb8", b"\x96",
    ]  # fmt: skip


def test_of_tokens_with_equal_bytes_the_lowest_ordinary_one_is_meant() -> None:
    wheel = sentencepiece()
    data = json.loads(wheel.to_str())
    vocab = data["model"]["vocab"]
    vocab[" "] = len(vocab)  # as "▁"
    vocab[" he"] = len(vocab)  # as "▁he"
    data["added_tokens"].append(
        data["added_tokens"][0] | {"id": len(vocab), "content": " h", "special": False}
    )
    tokenizer = Tokenizer.from_json(json.dumps(data))
    same = {
        token: [i for i in range(len(tokenizer)) if tokenizer.bytes(i) == token] for token in (b" ", b" he")
    }
    assert same == {b" ": [2 + 0x20, 258, 264], b" he": [262, 265]}
    assert [tokenizer.kind(i) for i in same[b" "]] == ["byte", "text", "text"]
    assert (tokenizer.find(b" "), tokenizer.find(b" he"), tokenizer.find(b" h")) == (258, 262, 266)

    bridge = Bridge(tokenizer, tokenizer)
    assert [pair for pair in bridge.pairs() if pair[0] in same[b" he"]] == [
        (262, 262),
        (262, 265),
        (265, 262),
        (265, 265),
    ]
    assert bridge.tables.draft_to_target[[34, 258, 264, 262, 265]].tolist() == [258, 258, 258, 262, 262]
    assert bridge.tables.target_to_draft[[34, 258, 264, 262, 265]].tolist() == [258, 258, 258, 262, 262]
    assert bridge.coverage().target_shared == bridge.coverage().target_tokens == len(tokenizer) - 2


def test_tiktoken() -> None:
    tokenizer = Tokenizer.from_tiktoken(*tiktoken_parts())
    assert len(tokenizer) == 301
    assert tokenizer.special_tokens == {3: "<end>"}
    assert [tokenizer.kind(i) for i in (0, 3, 10, 299, 300)] == [
        "unused",
        "special",
        "text",
        "unused",
        "text",
    ]
    assert tokenizer.encode(b"he h") == [300, 10 + 32, 10 + 104]


def test_ids_beyond_the_vocabulary_stand_for_nothing() -> None:
    tokenizer = ours(byte_level())
    assert tokenizer.decode([256, 9999, 258, 2**32 - 1, 257]) == b"he he"
    for bad in (-1, 2**32):
        with pytest.raises(OverflowError):
            tokenizer.decode([bad])
        with pytest.raises(OverflowError):
            tokenizer.bytes(bad)


def test_find() -> None:
    tokenizer = ours(byte_level())
    assert tokenizer.find(b" he") == 257
    assert tokenizer.find(b"") is None
    assert tokenizer.find(b"hex") is None
    assert tokenizer.find(b"<end>") is None, "control tokens stand for no bytes"


@given(texts.data)
def test_bytes_come_back(data: bytes) -> None:
    for tokenizer in (ours(byte_level()), ours(sentencepiece()), Tokenizer.from_tiktoken(*tiktoken_parts())):
        assert tokenizer.decode(tokenizer.encode(data)) == data
        assert not set(tokenizer.encode(data)) & set(tokenizer.special_tokens)


@given(st.sets(st.integers(0, 255), min_size=1), st.binary(max_size=6))
def test_what_has_no_token_cannot_be_encoded(missing: set[int], data: bytes) -> None:
    ranks = [(token, i) for token, i in BYTES if i not in missing]
    if not ranks:
        return
    tokenizer = Tokenizer.from_tiktoken(ranks, [], r"\s+|\S+")
    assert set(tokenizer.missing_bytes) == missing & {*range(0xC0), *range(0xC2, 0xF5)}
    ids = tokenizer.encode(data)
    assert ids == (None if missing & set(data) else list(data))


def test_a_unicode_normal_form_is_dropped_and_told() -> None:
    wheel = byte_level()
    wheel.normalizer = normalizers.NFC()
    tokenizer = ours(wheel)
    assert tokenizer.string_lossy
    assert tokenizer.decode(tokenizer.encode("e\u0301".encode())) == "e\u0301".encode()


class TestFingerprint:
    def test_without_reading(self) -> None:
        text = byte_level().to_str()
        assert fingerprint(text) == Tokenizer.from_json(text).fingerprint
        parts = tiktoken_parts()
        assert tiktoken_fingerprint(*parts) == Tokenizer.from_tiktoken(*parts).fingerprint

    def test_follows_what_matters(self) -> None:
        ranks, specials, pattern = tiktoken_parts()
        others = [
            (ranks[1:], specials, pattern),
            (ranks, [], pattern),
            (ranks, [("<end>", 4)], pattern),
            (ranks, specials, r"\s|\S+"),
        ]
        prints = [tiktoken_fingerprint(*parts) for parts in [(ranks, specials, pattern), *others]]
        more = byte_level()
        more.add_tokens(["<more>"])
        prints += [fingerprint(wheel.to_str()) for wheel in (byte_level(), more, sentencepiece())]
        assert len(set(prints)) == len(prints)

    def test_ignores_what_does_not(self) -> None:
        used = byte_level()
        used.enable_padding(length=4)
        used.enable_truncation(3)
        assert fingerprint(used.to_str()) == fingerprint(byte_level().to_str())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a tokenizer JSON"),
        ("[]", "not a tokenizer JSON"),
        ('{"model": {"type": "WordPiece"}}', "model WordPiece"),
        ('{"model": {"type": "BPE", "vocab": {}, "merges": []}}', "no byte form"),
        ('{"model": {}, "normalizer": {"type": "Lowercase"}}', "normalizer Lowercase"),
        ('{"model": {}, "decoder": {"type": "WordPiece"}}', "decoder WordPiece"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(TokenizerError, match=rf"got one that .*{reason}.*; expected .*\. Choose") as error:
        Tokenizer.from_json(text)
    assert isinstance(error.value, ValueError)


def test_refused_tiktoken() -> None:
    ranks, specials, pattern = tiktoken_parts()
    with pytest.raises(TokenizerError, match="id 10 is given twice"):
        Tokenizer.from_tiktoken(ranks, [("<end>", 10)], pattern)
    with pytest.raises(TokenizerError, match="no safe translation"):
        Tokenizer.from_tiktoken(ranks, specials, r"(?m)a$")
    with pytest.raises(TokenizerError, match="pre-tokenizer cannot be built"):
        Tokenizer.from_tiktoken(ranks, specials, "(")
