"""Tokenizers that are one file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from anydraft.errors import AnydraftError, ModelFileError
from anydraft.loading.folders import load_tokenizer


def byte_tokenizer():
    from test_special_tokens import plain

    return plain("<s>", "</s>")


def test_a_tokenizer_json_alone_and_with_its_config(tmp_path):
    backend = byte_tokenizer()
    backend.save(str(tmp_path / "tokenizer.json"))
    alone = load_tokenizer(tmp_path / "tokenizer.json")
    assert alone("hi").input_ids == backend.encode("hi").ids
    assert alone.bos_token_id is None
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>").save_pretrained(tmp_path)
    assert load_tokenizer(tmp_path / "tokenizer.json").bos_token_id == 0
    assert load_tokenizer(tmp_path).bos_token_id == 0


def test_a_tiktoken_file(tmp_path):
    pytest.importorskip("tiktoken")
    import base64

    file = tmp_path / "bytes.tiktoken"
    file.write_bytes(b"\n".join(base64.b64encode(bytes([i])) + b" %d" % i for i in range(256)))
    encoding = load_tokenizer(file, pattern=r"(?s:.)", special_tokens={"<|endoftext|>": 256})
    assert encoding.encode("a\n<|endoftext|>", allowed_special="all") == [97, 10, 256]
    with pytest.raises(ModelFileError, match="pattern="):
        load_tokenizer(file)
    file.write_bytes(file.read_bytes() + b"\n!!! x")
    with pytest.raises(ModelFileError, match="line 257"):
        load_tokenizer(file, pattern=".")


@pytest.mark.parametrize("name", ["tokenizer.json", "tekken.json", "tokenizer.model"])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00 nonsense"])
def test_damaged_tokenizer_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AnydraftError, match=name):
        load_tokenizer(tmp_path / name)


TEXTS = [
    "Hello world",
    "  two  spaces\n\n\ttab",
    "naïve café — “quotes” 中文字符 😀🏳️‍🌈 1234567",
    "def f(x):\n    return x**2  # ok",
    " ",
    "ﬁ２\r\n x",
    "▁x ▁",
]


def test_tekken_equals_mistrals_own():
    tekken = pytest.importorskip("mistral_common.tokens.tokenizers.tekken")
    file = Path(str(files("mistral_common") / "data" / "tekken_240911.json"))
    ours, theirs = load_tokenizer(file), tekken.Tekkenizer.from_file(file)
    for text in TEXTS:
        assert ours.encode(text, disallowed_special=()) == theirs.encode(text, bos=False, eos=False)
    for i in range(20):
        assert ours.decode_single_token_bytes(i).decode() == theirs.id_to_piece(i)


@pytest.mark.parametrize("name", ["tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"])
def test_sentencepiece_equals_the_original(name):
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("mistral_common")
    file = Path(str(files("mistral_common") / "data" / name))
    ours = load_tokenizer(file)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(file))
    generator = torch.Generator().manual_seed(0)
    alphabet = "abc deAB \n1é中😀.,\t▁th"
    for _ in range(300):
        picks = torch.randint(len(alphabet), (20,), generator=generator).tolist()
        text = "".join(alphabet[i] for i in picks)
        assert ours(text, add_special_tokens=False).input_ids == theirs.encode(text)
    for text in TEXTS:
        assert ours(text).input_ids == [theirs.bos_id(), *theirs.encode(text)]
        assert ours.decode(theirs.encode(text)) == theirs.decode(theirs.encode(text))
    assert (ours.bos_token_id, ours.eos_token_id) == (theirs.bos_id(), theirs.eos_id())
