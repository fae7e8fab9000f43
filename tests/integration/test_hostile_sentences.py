"""What the command line says of hostile files: what they are, in one sentence that steers no terminal."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from anydraft.bridge.prompts import encode_prompt, opening
from anydraft.errors import ModelFileError, TokenizerError
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.loading.names import short_name
from anydraft.loading.proportion import require_proportion
from hostile import COMMANDS, command, opened
from sampled import one_of

pytestmark = pytest.mark.usefixtures("own_cache")

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n"
INSTEAD = {
    "pointer": (POINTER, "git lfs pull"),
    "page": (b"\n<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "zeros": (bytes(500), "zero bytes"),
    "nothing": (b"", "is empty"),
}
NAMES = ["model.safetensors", "config.json", "generation_config.json", "tokenizer.json"]


def copied(folder: Path, to: Path, **files: bytes) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(files.get(file.name.replace(".", "_"), file.read_bytes()))
    return to


def changed(folder: Path, to: Path, name: str, **values: Any) -> Path:
    to = copied(folder, to)
    (to / name).write_text(json.dumps(json.loads((to / name).read_text()) | values))
    return to


@pytest.mark.parametrize("instead", INSTEAD)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_there_in_the_place_of_a_file_is_named(
    models: tuple[Path, Path], tmp_path: Path, name: str, instead: str
) -> None:
    content, said = INSTEAD[instead]
    folder = copied(models[0], tmp_path / "folder")
    (folder / name).write_bytes(content)
    load: Callable[[Path], Any] = load_tokenizer if name == "tokenizer.json" else load_model
    with pytest.raises(ModelFileError, match=said) as caught:
        load(folder)
    assert name in str(caught.value)


def test_a_pointer_on_the_command_line(models: tuple[Path, Path], tmp_path: Path) -> None:
    folder = copied(models[1], tmp_path / "folder", model_safetensors=POINTER)
    found = command(*(part.format(models[0], folder) for part in COMMANDS["generate"]))
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "git lfs pull" in found.stderr


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"]
)
@pytest.mark.parametrize("load", [load_model, load_tokenizer, opened])
def test_pipes_and_devices_are_not_waited_for(
    models: tuple[Path, Path], tmp_path: Path, name: str, load: Callable[[Path], Any]
) -> None:
    folder = copied(models[0], tmp_path / "folder")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(ModelFileError, match=f"{name}, which is a pipe"):
        load(folder)
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(ModelFileError, match=f"{name}, which is a device"):
        load(folder)


@pytest.mark.parametrize("name", ["pipe.gguf", "tokenizer.json", "pipe.tiktoken"])
def test_a_pipe_by_name(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelFileError, match="which is a pipe"):
        opened(tmp_path / name)


@pytest.mark.parametrize(
    "values",
    [
        {"num_hidden_layers": 10**6},
        {"hidden_size": 10**7},
        {"intermediate_size": 10**9},
        {"vocab_size": 10**30},
        {"head_dim": 1e8},
    ],
    ids=str,
)
def test_a_config_out_of_proportion_to_its_weights(
    models: tuple[Path, Path], tmp_path: Path, values: dict[str, Any]
) -> None:
    """The library would make a million layers, or matrices of terabytes, before it looks at the weights."""
    with pytest.raises(ModelFileError, match="in proportion"):
        load_model(changed(models[0], tmp_path / "folder", "config.json", **values))


def test_shapes_that_are_no_numbers_are_one_sentence(models: tuple[Path, Path], tmp_path: Path) -> None:
    folder = copied(models[0], tmp_path / "folder")
    header = json.dumps({"a": {"dtype": "F32", "shape": ["a"], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(ModelFileError):
        load_model(folder)


def test_an_adapter_beside_the_weights_says_nothing_of_them(tmp_path: Path) -> None:
    """They are in a file of another kind, whose tensors are not counted."""
    save_file({"head": np.zeros((2, 2), np.float32)}, str(tmp_path / "extra.safetensors"))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    (tmp_path / "config.json").write_text(json.dumps({"num_hidden_layers": 32}))
    require_proportion(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ModelFileError, match="in proportion"):
        require_proportion(tmp_path)


DEEP = b"[" * 200_000


@pytest.mark.parametrize("name", one_of(2, [*NAMES, "tokenizer_config.json"], first=1))
def test_json_nested_too_deep(models: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    content = DEEP if name != "model.safetensors" else struct.pack("<Q", len(DEEP)) + DEEP
    folder = copied(models[1], tmp_path / "folder")
    (folder / name).write_bytes(content)
    for asked in COMMANDS:
        found = command(*(part.format(models[0], folder) for part in COMMANDS[asked]))
        assert "Traceback" not in found.stderr
        assert found.returncode in ({0, 2} if asked == "doctor" else {2})


EVIL = "\x1b]0;mine\x07\x1b[2J\u202e\x9b"


@pytest.mark.parametrize(
    ("asked", "broken"), one_of(5, [(asked, b) for asked in (*COMMANDS, "all") for b in (True, False)])
)
def test_no_name_steers_a_terminal(
    models: tuple[Path, Path], tmp_path: Path, asked: str, *, broken: bool
) -> None:
    folder = copied(models[1], tmp_path / EVIL)
    if broken:
        (folder / "tokenizer.json").write_text("{")
    arguments = COMMANDS.get(asked, ["doctor", "--all", "{0}", "{1}"])
    found = command(*(part.format(models[0], folder) for part in arguments), NO_COLOR="1")
    said = found.stderr if asked == "generate" else found.stdout + found.stderr
    assert not {char for char in said if not char.isprintable()} - {"\n"}
    assert short_name(folder) == "\\x1b]0;mine\\x07\\x1b[2J\\u202e\\x9b"


def test_what_a_config_says_is_quoted_without_its_controls(models: tuple[Path, Path], tmp_path: Path) -> None:
    folder = changed(models[1], tmp_path / "folder", "config.json", model_type="\x1b[31mred\x07")
    found = command(*(part.format(models[0], folder) for part in COMMANDS["generate"]))
    assert found.returncode == 2
    assert "\\x1b[31mred\\x07" in found.stderr
    assert "\x1b" not in found.stderr


def post_processed(data: dict[str, Any]) -> None:
    """Asks for a control token that is not there: the library panics at the first text."""
    first = {"SpecialToken": {"id": "absent", "type_id": 0}}
    data["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {},
    }


def normalised(data: dict[str, Any]) -> None:
    data["normalizer"] = {"type": "Replace", "pattern": {"String": "a"}, "content": "x" * 10**6}


@pytest.mark.parametrize("change", [post_processed, normalised])
@pytest.mark.parametrize("asked", COMMANDS)
def test_a_tokenizer_that_its_library_fails_on(
    models: tuple[Path, Path], tmp_path: Path, asked: str, change: Callable[[dict[str, Any]], None]
) -> None:
    folder = copied(models[1], tmp_path / "folder")
    data = json.loads((folder / "tokenizer.json").read_text())
    change(data)
    (folder / "tokenizer.json").write_text(json.dumps(data))
    found = command(*(part.format(models[0], folder) for part in COMMANDS[asked]))
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert len(found.stdout) < 10_000
    assert "error: " in found.stderr or "impossible: " in found.stdout
    assert len((found.stderr.partition("error: ")[2]).splitlines()) <= 1  # before it, the library's own words
    if change is post_processed:
        for call in (lambda one: encode_prompt(one, "a"), opening):
            with pytest.raises(TokenizerError, match="its own library fails"):
                call(load_tokenizer(folder))


def test_a_full_disk_is_one_sentence(models: tuple[Path, Path]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    found = command("doctor", *models, "--html", "/dev/full")
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "No space left" in found.stderr
