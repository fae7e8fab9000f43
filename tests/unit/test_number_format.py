"""``dtype="auto"``: the checkpoint's own number format, or float32 where a CPU is quicker in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import cli_models
from anydraft import load_model
from anydraft.loading import number_format
from anydraft.loading.needs import needed_bytes, told_size
from anydraft.loading.number_format import own_format, resolved


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
