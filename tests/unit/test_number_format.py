"""``dtype="auto"``: the checkpoint's own number format, or float32 where a CPU is quicker in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import cli_models
from anydraft import load_model
from anydraft.doctor.model_facts import model_facts
from anydraft.loading import number_format
from anydraft.loading.needs import needed_bytes, told_size
from anydraft.loading.number_format import own_format, resolved
from anydraft.loading.weight_files import weight_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return cli_models.save(tmp_path)[0]


def kept_in(folder: Path, dtype: torch.dtype) -> Path:
    load_model(folder, torch.float32).to(dtype).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_checkpoints_own(folder: Path, dtype: torch.dtype) -> None:
    assert own_format(kept_in(folder, dtype)) == dtype
    assert resolved(folder, "auto", "meta") == dtype
    (folder / "model.safetensors").unlink()
    assert own_format(folder) == dtype  # as its config says


@pytest.mark.parametrize("quicker", [True, False])
def test_on_a_cpu_what_is_quicker(folder: Path, monkeypatch: pytest.MonkeyPatch, *, quicker: bool) -> None:
    kept_in(folder, torch.bfloat16)
    monkeypatch.setattr(number_format, "quicker_than_float32", lambda _: quicker)
    wanted = torch.bfloat16 if quicker else torch.float32
    assert load_model(folder).dtype == load_model(folder, "auto").dtype == wanted
    assert load_model(folder, torch.float16).dtype == torch.float16


def test_no_float32_of_a_big_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_in(folder, torch.bfloat16)
    monkeypatch.setattr(number_format, "quicker_than_float32", lambda _: False)
    needed = needed_bytes(folder, torch.float32)
    assert needed is not None
    monkeypatch.setattr(number_format, "available_bytes", lambda: 2 * needed - 2)
    assert resolved(folder, "auto", "cpu") == torch.bfloat16
    monkeypatch.setattr(number_format, "available_bytes", lambda: 2 * needed + 2)
    assert resolved(folder, "auto", "cpu") == torch.float32


def test_float32_is_never_rounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_format, "quicker_than_float32", lambda _: True)
    assert load_model(folder).dtype == torch.float32


def test_what_a_cpu_does_is_tried_on_both(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {
        (torch.float32, 1): 2.0,
        (torch.float32, 6): 3.0,
        (torch.bfloat16, 1): 1.0,
        (torch.bfloat16, 6): 2.5,
    }
    monkeypatch.setattr(number_format, "_seconds", lambda dtype, rows: took[dtype, rows])
    number_format.quicker_than_float32.cache_clear()
    assert number_format.quicker_than_float32(torch.bfloat16)
    took[torch.bfloat16, 6] = 3.5  # quicker, but not clearly
    assert number_format.quicker_than_float32(torch.bfloat16)  # once in a process
    number_format.quicker_than_float32.cache_clear()
    assert not number_format.quicker_than_float32(torch.bfloat16)
    number_format.quicker_than_float32.cache_clear()


def test_its_memory_is_told_first(folder: Path) -> None:
    told: list[str] = []
    load_model(folder, progress=lambda stage, _: told.append(stage))
    assert told[0] == f"loading{told_size(folder, torch.float32)}"
    assert told[0].endswith(" as float32")
    assert "MiB" in told[0]


def test_damaged_files_say_nothing(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 30)
    assert own_format(folder) == torch.float32
    (folder / "config.json").write_text("[")
    assert own_format(folder) is None


@pytest.mark.parametrize("packed", [torch.float8_e4m3fn, torch.uint8, torch.int8, torch.int32])
def test_weights_of_fewer_bits_are_loaded_in_what_stands_beside_them(
    folder: Path, packed: torch.dtype
) -> None:
    file = folder / "model.safetensors"
    few = {"norm": torch.ones(8, dtype=torch.bfloat16), "scale": torch.ones(4)}
    save_file({"weight": torch.zeros(64, 64).to(packed), **few}, file)
    assert own_format(folder) == torch.bfloat16
    assert resolved(folder, "auto", "meta") == torch.bfloat16
    save_file({"weight": torch.zeros(64, 64).to(packed)}, file)
    config = json.loads((folder / "config.json").read_text())
    config.pop("torch_dtype", None)
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    assert own_format(folder) == torch.float16


def test_a_second_copy_of_the_weights_is_not_counted(folder: Path) -> None:
    alone, size = needed_bytes(folder, torch.float32), model_facts(folder).bytes
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert needed_bytes(folder, torch.float32) == alone
    assert model_facts(folder).bytes == size
    assert weight_files(folder) == [folder / "model.safetensors"]
    shards = [folder / f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    weights = sorted(load_file(folder / "model.safetensors").items())
    for shard, part in zip(shards, (weights[:2], weights[2:]), strict=True):
        save_file(dict(part), shard, {"format": "pt"})
    (folder / "model.safetensors").unlink()
    assert weight_files(folder) == shards  # by their names, where no index tells
    assert needed_bytes(folder, torch.float32) == alone
    (folder / "older.safetensors").touch()
    index = folder / "model.safetensors.index.json"
    named = {"a": shards[0].name, "b": shards[1].name, "c": "not-here.safetensors"}
    index.write_text(json.dumps({"weight_map": named}))
    assert weight_files(folder) == shards
    assert needed_bytes(folder, torch.float32) == alone
    for wrong in ({"weight_map": {"a": "../model.safetensors"}}, {"weight_map": {"a": 3}}, [], "?"):
        index.write_text(json.dumps(wrong))
        assert weight_files(folder) == [*shards, folder / "older.safetensors"]
