"""Code in the folder of a model: named, and never run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from anydraft.errors import ModelFileError
from anydraft.loading.folders import load_model, load_tokenizer
from hostile import COMMANDS, command, opened
from sampled import one_of

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def with_code(tmp_path: Path) -> tuple[Path, Path]:
    """A folder whose classes are in a Python file of its own, and the file that this code would write."""
    folder, mark = tmp_path / "own-code", tmp_path / "mark"
    folder.mkdir()
    classes = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    config = {"model_type": "nobody-knows", "auto_map": classes, "architectures": ["Model"]}
    (folder / "config.json").write_text(json.dumps(config))
    named = {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}, "tokenizer_class": "Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    (folder / "own.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizer\n"
        "class Config(PretrainedConfig):\n    model_type = 'nobody-knows'\n"
        "class Model(PreTrainedModel):\n    config_class = Config\n"
        "class Tokenizer(PreTrainedTokenizer):\n    pass\n"
    )
    return folder, mark


@pytest.mark.parametrize("load", [load_model, load_tokenizer, opened])
def test_code_in_a_folder_is_named_and_not_run(
    with_code: tuple[Path, Path], load: Callable[[Path], Any]
) -> None:
    folder, mark = with_code
    with pytest.raises(ModelFileError, match=r"own\.py.*trust_remote_code=True"):
        load(folder)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("asked", "tokenizer"), one_of(3, [(asked, t) for t in (True, False) for asked in COMMANDS])
)
def test_no_answer_on_standard_input_makes_it_run(
    with_code: tuple[Path, Path], models: tuple[Path, Path], asked: str, tokenizer: bool
) -> None:
    folder, mark = with_code
    if tokenizer:  # then it is the model's code that is asked for
        (folder / "tokenizer.json").write_text((models[1] / "tokenizer.json").read_text())
    for paths in ((folder, models[1]), (models[0], folder)):
        found = command(*(part.format(*paths) for part in COMMANDS[asked]), stdin="y\n" * 9)
        assert not mark.exists()
        assert "[y/N]" not in found.stdout + found.stderr
        if asked == "generate" or not tokenizer:
            assert found.returncode == 2
            assert "own.py" in found.stderr.replace("\n", "")
            assert "Traceback" not in found.stderr


def test_a_known_architecture_needs_no_code_of_its_folder(models: tuple[Path, Path], tmp_path: Path) -> None:
    """As with plain transformers: where it has the class, the folder's own is left alone."""
    small.model(small.byte_level(), seed=1).save_pretrained(tmp_path / "known")
    config = json.loads((tmp_path / "known" / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "absent.Model"}
    (tmp_path / "known" / "config.json").write_text(json.dumps(config))
    assert type(load_model(tmp_path / "known")).__module__.startswith("transformers.models.")
