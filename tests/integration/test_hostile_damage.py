"""Files that are damaged or cut: one sentence, wherever the damage is."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import transformers

from anydraft.errors import AnydraftError, ModelFileError
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.loading.quantised import FILE, load_quantised, save_quantised
from hostile import COMMANDS, command, halved, opened

pytestmark = pytest.mark.usefixtures("own_cache")


try:
    import tiny_gguf

    HAS_GGUF = not transformers.__version__.startswith("4.")
except ImportError:
    HAS_GGUF = False


needs_gguf = pytest.mark.skipif(not HAS_GGUF, reason="needs the package gguf and transformers 5")


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


DAMAGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("model.safetensors", halved),
    ("model.safetensors", lambda content: content[:20]),
    ("model.safetensors", lambda _: b""),
    ("model.safetensors", lambda content: b"\xff" * 8 + content[8:]),
    ("model.safetensors", lambda content: content.replace(b"q_proj", b"x_proj")),
    ("config.json", halved),
    ("config.json", lambda _: b""),
    ("config.json", lambda _: b"[]"),
    ("config.json", lambda _: b'"text"'),
    ("config.json", lambda _: b"\xff\xfe\x00"),
    (
        "config.json",
        lambda content: content.replace(b'"num_hidden_layers": ', b'"num_hidden_layers": "x",  "y": '),
    ),
]


@pytest.mark.parametrize(
    ("name", "damage"), DAMAGES, ids=[f"{i}-{name}" for i, (name, _) in enumerate(DAMAGES)]
)
def test_a_damaged_model_is_one_error(
    models: tuple[Path, Path], tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    folder = copied(models[0], tmp_path / "damaged")
    content = (folder / name).read_bytes()
    assert damage(content) != content
    (folder / name).write_bytes(damage(content))
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(folder)


@pytest.mark.parametrize("damage", [halved, lambda _: b"", lambda _: b"[]", lambda _: b'{"model": 3}'])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("load", [load_tokenizer, opened])
def test_a_damaged_tokenizer_is_one_error(
    models: tuple[Path, Path],
    tmp_path: Path,
    name: str,
    damage: Callable[[bytes], bytes],
    load: Callable[[Path], Any],
) -> None:
    folder = copied(models[0], tmp_path / "damaged")
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with suppress(AnydraftError):  # what the file says is not always needed
        load(folder)


def test_the_command_says_it_in_one_sentence(models: tuple[Path, Path], tmp_path: Path) -> None:
    folder = copied(models[0], tmp_path / "damaged")
    weights = folder / "model.safetensors"
    weights.write_bytes(halved(weights.read_bytes()))
    found = command(*(part.format(folder, models[1]) for part in COMMANDS["generate"]))
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "damaged" in found.stderr
    assert "download it again" in found.stderr.replace("\n", " ")


def test_a_damaged_quantised_model(models: tuple[Path, Path], tmp_path: Path) -> None:
    save_quantised(load_model(models[0]), tmp_path)
    load_quantised(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    for damaged in (halved(content), content[:9], b""):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(ModelFileError, match="quantised"):
            load_quantised(tmp_path)


def test_a_quantised_model_beside_another_config(models: tuple[Path, Path], tmp_path: Path) -> None:
    save_quantised(load_model(models[0]), tmp_path)
    load_model(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"vocab_size": config["vocab_size"] + 1}))
    with pytest.raises(
        ModelFileError, match=r"has the shape \[\d+, \d+\], where config\.json beside it makes"
    ):
        load_model(tmp_path)
    file.write_text(json.dumps(config | {"num_hidden_layers": 10**6}))
    with pytest.raises(ModelFileError, match="num_hidden_layers=1000000"):
        load_model(tmp_path)
    file.write_text(json.dumps(config))
    (tmp_path / "generation_config.json").write_text("[")
    with pytest.raises(ModelFileError, match="a generation config"):
        load_model(tmp_path)


@needs_gguf
def test_a_gguf_file_cut_anywhere(tmp_path: Path) -> None:
    from anydraft.doctor import Subject
    from anydraft.loading.gguf_header import read_header

    whole = tiny_gguf.write(tmp_path / "whole.gguf").read_bytes()
    file = tmp_path / "cut.gguf"
    for length in [*range(0, 64, 5), 3_000, *range(1_000, len(whole) - 1, len(whole) // 9)]:
        file.write_bytes(whole[:length])
        with suppress(ModelFileError):  # the cut may be behind the header
            read_header(file)
        for load in (load_model, load_tokenizer, Subject.open):
            with pytest.raises(ModelFileError, match=r"cut\.gguf"):
                load(file)


@needs_gguf
def test_a_gguf_file_without_one_of_its_weights(tmp_path: Path) -> None:
    """The name of one is another's that nobody knows: transformers would make the weight up."""
    file = tiny_gguf.write(tmp_path / "lacking.gguf")
    content = file.read_bytes()
    assert b"blk.1.ffn_up.weight" in content
    file.write_bytes(content.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))
    with pytest.raises(ModelFileError, match=r"lacking\.gguf.*lack 1 weights"):
        load_model(file)


@needs_gguf
@pytest.mark.parametrize("asked", COMMANDS)
def test_a_cut_gguf_file_on_the_command_line(models: tuple[Path, Path], tmp_path: Path, asked: str) -> None:
    file = tiny_gguf.write(tmp_path / "cut.gguf")
    file.write_bytes(file.read_bytes()[:3_000])
    found = command(*(part.format(models[0], file) for part in COMMANDS[asked]))
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "cut.gguf" in found.stderr
