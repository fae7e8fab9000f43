"""Paths and places that cannot be: one sentence, before anything is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anydraft import Bridge
from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir
from anydraft.loading.folders import load_model, load_tokenizer
from hostile import opened

pytestmark = pytest.mark.usefixtures("own_cache")


PATHS = ["~nobody-of-this-name/model", "a\0b", "x" * 5_000, "absent"]


@pytest.mark.parametrize("path", PATHS, ids=["home", "zero", "long", "absent"])
@pytest.mark.parametrize("load", [load_model, load_tokenizer, opened, lambda path: Bridge(path, path)])
def test_a_path_that_cannot_be_is_one_error(path: str, load: Callable[[str], Any]) -> None:
    with pytest.raises(ModelFileError, match=r"^got ") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


HOMELESS = """
import os, pwd, sys
os.environ.pop("HOME", None), os.environ.pop("XDG_CACHE_HOME", None), os.environ.pop("ANYDRAFT_CACHE", None)
def nobody(_):
    raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = nobody
"""


def test_without_a_home_folder_a_decode_runs_and_the_cache_says_what_to_set(tmp_path: Path) -> None:
    program = (
        HOMELESS
        + """
import small
from anydraft import Speculator
from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir
from anydraft.scheduling.plan import find
one = small.byte_level()
pair = Speculator(small.model(one, seed=1), small.model(one, seed=2), one, one)
assert pair.generate("Once", max_new_tokens=3).token_ids
assert find({"a": "b"}, "greedy") is None
try:
    cache_dir.entry("a", lambda folder: None)
except ModelFileError as error:
    print(error)
"""
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[1] / "support")])
    }
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stderr
    assert "ANYDRAFT_CACHE" in found.stdout


def test_a_cache_folder_that_cannot_be_read_is_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anydraft.scheduling.plan import find, plan_path

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "file"))
    assert find({"a": "b"}, "greedy") is None
    monkeypatch.setenv("ANYDRAFT_CACHE", "x" * 5_000)
    assert find({"a": "b"}, "greedy") is None
    with pytest.raises(ModelFileError, match="ANYDRAFT_CACHE"):
        cache_dir.entry("a", lambda folder: None)
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path))
    plan_path({"a": "b"}, "greedy").parent.mkdir()
    plan_path({"a": "b"}, "greedy").write_bytes(b"\xff")
    assert find({"a": "b"}, "greedy") is None


MISSPELT = {
    "generate": ["--target", "{0}", "--draft", "no/such", "Once"],
    "generate, tokenizer": ["--target", "{0}", "--draft", "{1}", "--draft-tokenizer", "no/such", "Once"],
    "bench": ["--target", "{0}", "--draft", "no/such"],
    "bench, page": ["--target", "{0}", "--draft", "{1}", "--chart", "no/such/page.html"],
    "bench, prompts": ["--target", "{0}", "--draft", "{1}", "--prompts-file", "no/such"],
    "shrink": ["--draft", "{1}", "--keep", "16", "--usage", "no/such"],
    "shrink, target": ["--draft", "{1}", "--keep", "16", "--usage", "{0}/config.json", "--target", "no/such"],
    "train-draft": ["--target", "{0}", "--corpus", "no/such"],
    "serve-config": ["--target", "{0}", "--draft", "no/such", "--draft-tokenizer", "{1}"],
    "doctor": ["{0}", "no/such"],
    "doctor, predict": ["{0}", "no/such", "--predict"],
    "doctor, text": ["{0}", "{1}", "--text", "no/such"],
    "align": ["{0}", "no/such", "text"],
}


@pytest.mark.parametrize("asked", MISSPELT)
def test_a_misspelt_path_is_told_before_anything_is_loaded(models: tuple[Path, Path], asked: str) -> None:
    """Not even PyTorch is, which takes seconds by itself."""
    arguments = [asked.partition(",")[0], *(part.format(*models) for part in MISSPELT[asked])]
    program = f"""
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise SystemExit("torch is imported")
sys.meta_path.insert(0, Refused())
sys.argv = ["anydraft", *{arguments!r}]
from anydraft.cli import main
main()
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert "torch is imported" not in found.stderr
    assert found.returncode == 2, found.stderr
    assert "no/such" in found.stderr
