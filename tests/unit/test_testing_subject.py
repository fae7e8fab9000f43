"""Whatever tokenizer a user has becomes a subject, and is not changed by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiktoken
from tokenizers import Tokenizer, normalizers
from transformers import BertTokenizerFast

import anydraft
import small
from anydraft.errors import ArgumentError, ModelFileError, TokenizerError
from anydraft.testing import (
    LAWS,
    LawBrokenError,
    LawsBrokenError,
    LawSkippedError,
    Subject,
    SubjectPair,
    check_laws,
    judging,
    law,
)
from clocks import Clock

BYTES = {bytes([byte]): byte for byte in range(256)}


class Plain:
    """The least there is: a byte is an id."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")


class Rich(Plain):
    """With all that may be there besides."""

    special_tokens = {"<end>": 256}  # noqa: RUF012

    def __len__(self) -> int:
        return 257

    def token_bytes(self, i: int) -> bytes:
        return bytes([i]) if i < 256 else b""

    def encode_bytes(self, data: bytes) -> list[int]:
        return list(data)

    def detokenizer(self) -> Any:
        return anydraft.Detokenizer(_core())

    def retokenizer(self) -> Any:
        return anydraft.Retokenizer(_core())


def _core() -> anydraft.Tokenizer:
    return anydraft.Tokenizer.from_tiktoken(list(BYTES.items()), [("<end>", 256)], r"[\s\S]")


def made(kind: str, tmp_path: Path) -> Any:
    backend = small.byte_level().backend_tokenizer
    file = tmp_path / "tokenizer.json"
    file.write_text(backend.to_str(), encoding="utf-8")
    if kind == "folder":
        small.byte_level().save_pretrained(tmp_path)
    return {
        "transformers": small.byte_level,
        "tokenizers": lambda: backend,
        "tiktoken": lambda: tiktoken.Encoding(
            "bytes", pat_str=r"[\s\S]", mergeable_ranks=BYTES, special_tokens={"<end>": 256}
        ),
        "core": lambda: anydraft.Tokenizer.from_json(backend.to_str()),
        "path": lambda: str(file),
        "folder": lambda: tmp_path,
        "rich": Rich,
    }[kind]()


@pytest.mark.parametrize("kind", ["transformers", "tokenizers", "tiktoken", "core", "path", "folder", "rich"])
def test_every_kind_is_asked_everything(kind: str, tmp_path: Path) -> None:
    subject = Subject.of(made(kind, tmp_path)).allow("held-back-end", "replaced-surrogates")
    verdicts = [one.judge(subject, examples=5) for one in LAWS]
    assert [v.violation for v in verdicts if v.outcome == "failed"] == []
    skipped = {v.law for v in verdicts if v.outcome == "skipped"}
    assert skipped == ({"own-stream"} if kind in ("tiktoken", "core", "rich") else set())


def test_a_plain_one_is_asked_what_it_can_answer() -> None:
    verdicts = [one.judge(Subject.of(Plain()), examples=20) for one in LAWS]
    passed = {v.law for v in verdicts if v.outcome == "passed"}
    assert passed == {
        "round-trip",
        "determinism",
        "distinct-ids",
        "vocabulary",
        "surrogates",
        "prefix-stability",
    }
    assert {v.reason for v in verdicts if v.law == "canonical"} == {
        "it needs token_bytes and encode_bytes: the tokenizer does not offer it"
    }
    with pytest.raises(LawSkippedError):
        law("canonical").check(Plain())


def test_reading_compares_with_the_original() -> None:
    class Mine(Plain):
        def encode(self, text: str) -> list[int]:
            return list(text.replace("\r\n", "\n").encode())

    mine = Subject.of(Mine(), reading=_core(), name="mine")
    with pytest.raises(LawBrokenError, match="mine breaks the law bytes-of-ids") as found:
        law("bytes-of-ids").check(mine)
    assert "0d 0a" in str(found.value)


def test_all_laws_that_are_broken_are_explained_together() -> None:
    class Stripped(Plain):
        def decode(self, ids: list[int]) -> str:
            return super().decode(ids).strip()

    with pytest.raises(LawsBrokenError) as found:
        check_laws(Stripped(), examples=50)
    assert {one.law for one in found.value.violations} >= {"round-trip"}
    assert str(found.value).count(" breaks the law ") == len(found.value.violations)


def test_a_tokenizer_that_anydraft_refuses_is_asked_by_itself(tmp_path: Path) -> None:
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "a", "##b"]
    bert = BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    subject = Subject.of(bert)
    assert subject.core is None
    verdict = law("bytes-of-ids").judge(subject)
    assert "anydraft cannot read it" in (verdict.reason or "")
    assert law("round-trip").judge(subject).outcome == "failed"
    with pytest.raises(TokenizerError, match="anydraft cannot read it"):
        SubjectPair.of(bert, small.byte_level())


def test_the_user_s_tokenizer_is_not_changed() -> None:
    tokenizer = small.byte_level()
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.enable_truncation(8)
    backend.enable_padding(length=16)

    def state() -> list[Any]:
        wheels = backend, tokenizer.backend_tokenizer
        return [(wheel.to_str(), wheel.encode_special_tokens) for wheel in wheels]

    before = state()
    for one in (backend, tokenizer):
        law("round-trip").check(one)
    assert state() == before


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="got a int; expected a tokenizer"):
        Subject.of(3)
    with pytest.raises(ArgumentError, match=r"got the allowances \['nfd'\]; expected some of space-mark"):
        Subject.of(Plain()).allow("nfd")
    with pytest.raises(ArgumentError, match="got the law 'none'; expected one of round-trip"):
        law("none")
    with pytest.raises(ArgumentError, match="got 3 tokenizers"):
        check_laws(Plain(), Plain(), Plain())
    with pytest.raises(ArgumentError, match="got one tokenizer; expected a target and a draft"):
        law("pair-view").check(small.byte_level())
    with pytest.raises(ArgumentError, match="got 0 examples"):
        law("round-trip").check(Plain(), examples=0)
    for name in ("none.json", "tokenizer.json", "none"):
        with pytest.raises(ModelFileError, match=name):
            Subject.of(tmp_path / name)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFileError, match="a tokenizer cannot be read"):
        Subject.of(tmp_path / "tokenizer.json")


def test_what_is_allowed_is_kept_away() -> None:
    backend = Tokenizer.from_str(small.byte_level().backend_tokenizer.to_str())
    backend.normalizer = normalizers.NFC()
    assert law("round-trip").judge(Subject.of(backend)).outcome == "failed"
    law("round-trip").check(backend, allow=["nfc"])


def test_the_same_seed_finds_the_same_and_none_finds_other_texts() -> None:
    class Lossy(Plain):
        def decode(self, ids: list[int]) -> str:
            return super().decode(ids).replace("\t", " ").replace("é", "e")

    found = [law("round-trip").judge(Subject.of(Lossy()), seed=seed) for seed in (1, 1, None)]
    assert found[0].examples == found[1].examples
    assert {str(verdict.violation) for verdict in found[:2]} == {str(found[0].violation)}
    assert found[2].outcome == "failed"


def test_time_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a second at every reading, which is after every batch of examples."""
    monkeypatch.setattr(judging, "time", SimpleNamespace(perf_counter=Clock([1.0])))
    few, many = (law("round-trip").judge(Subject.of(Plain()), seconds=seconds) for seconds in (1, 8))
    assert few.examples >= 25
    assert many.examples == 8 * few.examples
    assert (few.seconds, many.seconds) == (2, 9)


def test_neither_torch_nor_transformers_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text(small.byte_level().backend_tokenizer.to_str(), encoding="utf-8")
    program = f"""
import sys
from anydraft.testing import check_laws
check_laws({str(file)!r}, examples=10, allow=["held-back-end"])
check_laws({str(file)!r}, {str(file)!r}, examples=10)
print("torch" in sys.modules or "transformers" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True, cwd=tmp_path) == "False\n"


def test_without_hypothesis_it_says_what_to_install() -> None:
    program = """
import sys
sys.modules["hypothesis"] = None
try:
    import anydraft.testing
except ImportError as error:
    print(type(error).__name__, error)
import anydraft, anydraft.cli.app
"""
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert said == (
        "MissingPackageError anydraft.testing needs the package hypothesis, which is not installed: "
        "pip install 'anydraft[testing]'\n"
    )


def test_a_failure_can_be_written_as_json() -> None:
    verdict = law("round-trip").judge(Subject.of(Plain(), name="p"), examples=5)
    assert json.loads(json.dumps(verdict.as_dict()))["outcome"] == "passed"
