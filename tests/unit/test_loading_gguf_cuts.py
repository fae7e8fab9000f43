"""The tokenizer of a GGUF file cuts a text as the file says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from anydraft.loading.folders import load_tokenizer
from loaded import needs_5

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="needs gguf"),
    needs_5,
]


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("smollm", ["ĠĠ", "1", "2", "Ġth"]),
        ("starcoder", ["ĠĠ", "1", "2", "Ġth"]),
        ("gpt-2", ["Ġ", "Ġ12", "Ġth"]),
        (None, ["Ġ", "Ġ", "12", "Ġth"]),
    ],
)
def test_a_text_is_cut_as_the_file_says(tmp_path: Path, pre: str | None, pieces: list[str]) -> None:
    import tiny_gguf

    tokenizer = load_tokenizer(tiny_gguf.write(tmp_path / "tiny.gguf", pre=pre))
    cut = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("  12 th")
    assert [piece for piece, _ in cut] == pieces
