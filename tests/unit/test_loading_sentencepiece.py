"""SentencePiece files with pieces of their user's, and with pieces that are not used."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from anydraft import Retokenizer
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import ModelFileError
from anydraft.loading.sentencepiece import load_sentencepiece
from anydraft.loading.sentencepiece_kinds import Kind, piece_kinds

spm = pytest.importorskip("sentencepiece")

CUT_OUT = ["<tool>", "he", "▁▁", "\n", "\n\n", "  x"]
TEXTS = [
    "the he hello",
    " <tool>a<tool> b<tool>",
    "a    b  x   x",
    "\n\n\na\n",
    "héllo 東 he",
    "",
    " ",
]


def trained(path: Path, **options: Any) -> Path:
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(
            ["the quick brown fox jumps over a dog", "hello world is fine", "a <tool> x"] * 9
        ),
        model_writer=out,
        vocab_size=330,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
        **options,
    )
    file = path / "tokenizer.model"
    file.write_bytes(out.getvalue())
    return file


def merges(file: Path) -> list[tuple[str, str]]:
    found = json.loads(load_sentencepiece(file).backend_tokenizer.to_str())["model"]["merges"]
    return [tuple(pair) for pair in found]


def test_pieces_of_the_users_are_cut_out_whole(tmp_path: Path) -> None:
    file = trained(tmp_path, user_defined_symbols=CUT_OUT, add_dummy_prefix=False)
    theirs = spm.SentencePieceProcessor(model_file=str(file))
    ours = load_sentencepiece(file)
    core = TokenizerSource.of(ours, "target").load()
    for text in TEXTS:
        assert ours(text, add_special_tokens=False)["input_ids"] == theirs.encode(text)
        stream = Retokenizer(core)
        stream.push(text.encode())
        assert list(stream.ids()) == theirs.encode(text)
        assert ours.decode(theirs.encode(text)) == theirs.decode(theirs.encode(text))
    assert not [
        token for token in ours.added_tokens_decoder.values() if token.special and "o" in token.content
    ]


def test_cut_out_after_a_space_that_nobody_wrote_is_spelled(tmp_path: Path) -> None:
    file = trained(tmp_path, user_defined_symbols=["<tool>"], add_dummy_prefix=True)
    theirs = spm.SentencePieceProcessor(model_file=str(file))
    ours = load_sentencepiece(file)
    for text in ("a<tool> b", "<tool>"):
        ids = ours(text, add_special_tokens=False)["input_ids"]
        assert ours.decode(ids) == text == theirs.decode(ids)
        assert theirs.piece_to_id("<tool>") not in ids


def test_unused_pieces_that_would_be_made_are_refused(tmp_path: Path) -> None:
    file = trained(tmp_path, add_dummy_prefix=True)
    load_sentencepiece(file)
    content, made = file.read_bytes(), next(a + b for a, b in merges(file))
    spelled = made.encode()
    at = content.index(b"\n" + bytes([len(spelled)]) + spelled) - 1  # the piece, after its own length
    length = content[at]
    whole = content[at + 1 : at + 1 + length]
    changed = content[:at] + bytes([length + 2]) + whole + b"\x18\x05" + content[at + 1 + length :]
    file.write_bytes(changed)
    theirs = spm.SentencePieceProcessor(model_file=str(file))
    assert [theirs.is_unused(i) for i in range(len(theirs))].count(True) == 1
    assert piece_kinds(changed).count(Kind.UNUSED) == 1
    with pytest.raises(ModelFileError, match=rf"calls unused pieces \({made}\).*expected one without"):
        load_sentencepiece(file)


def test_kinds_are_those_of_the_package(tmp_path: Path) -> None:
    file = trained(tmp_path, user_defined_symbols=CUT_OUT, control_symbols=["<ctl>"], add_dummy_prefix=False)
    theirs = spm.SentencePieceProcessor(model_file=str(file))
    kinds = piece_kinds(file.read_bytes())
    ids = range(len(theirs))
    assert [i for i in ids if kinds[i] == Kind.CONTROL] == [i for i in ids if theirs.is_control(i)]
    assert [i for i in ids if kinds[i] == Kind.BYTE] == [i for i in ids if theirs.is_byte(i)]
    found = [theirs.id_to_piece(i) for i in ids if kinds[i] == Kind.USER_DEFINED]
    assert sorted(found) == sorted(CUT_OUT)


@pytest.mark.parametrize("content", [b"\x0b", b"\x80", b"\x0a"])
def test_kinds_of_other_bytes(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"unknown type|ends within"):
        piece_kinds(content)
