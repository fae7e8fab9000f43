"""The names that people use for models: one loader for all, and nothing fetched in vain."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

import cli_models
import hub_cache
from anydraft import Bridge, load_model, load_tokenizer, testing
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.doctor import Subject
from anydraft.errors import ModelFileError
from anydraft.loading import names
from anydraft.loading.hub import HubName

LOADERS: list[Callable[[Any], Any]] = [
    load_tokenizer,
    Subject.open,
    testing.Subject.of,
    lambda name: Bridge(name, name).target,
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return cli_models.save(tmp_path_factory.mktemp("models"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("org/name", HubName("org/name", None, None)),
        ("Qwen/Qwen2.5-0.5B@refs/pr/3", HubName("Qwen/Qwen2.5-0.5B", "refs/pr/3", None)),
        ("org/name@v1.0", HubName("org/name", "v1.0", None)),
        ("org/name-GGUF/name-q4.gguf", HubName("org/name-GGUF", None, "name-q4.gguf")),
        ("org/name@v1/sub/name.gguf", HubName("org/name", "v1", "sub/name.gguf")),
        ("models/missing.gguf", None),
        ("models/tokenizer.json", None),
        ("gpt2", None),
        ("./org/name", None),
        ("/org/name", None),
        ("~/org/name", None),
        ("../org", None),
        ("org/", None),
        ("a/b/c", None),
        ("org/na me", None),
    ],
)
def test_what_is_an_id_of_the_hub(name: str, wanted: HubName | None) -> None:
    assert HubName.of(name) == wanted


@pytest.mark.parametrize("load", LOADERS)
def test_tokenizers_by_hub_id(folders: tuple[Path, Path], cache: Path, load: Callable[[Any], Any]) -> None:
    tokenizer = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"
    hub_cache.add(cache, "org/model", folders[0], *tokenizer)  # no weights
    hub_cache.add(cache, "org/model", folders[1], *tokenizer, revision="v2", commit="f" * 40)
    fingerprints = [core_of(load(name)) for name in ("org/model", "org/model@v2", *folders)]
    assert fingerprints[0] == fingerprints[2] != fingerprints[1] == fingerprints[3]


def core_of(loaded: Any) -> str:
    """The fingerprint of whatever a loader gave."""
    core = getattr(loaded, "core", None) or loaded
    return str(TokenizerSource.of(core, "target").load().fingerprint)


def test_models_by_hub_id(folders: tuple[Path, Path], cache: Path) -> None:
    hub_cache.add(cache, "org/model", folders[0])
    one, other = load_model("org/model"), load_model(folders[0])
    assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.usefixtures("cache")
def test_offline_and_not_in_the_cache() -> None:
    for load in (load_model, *LOADERS):
        with pytest.raises(ModelFileError, match=r"org/absent: .*HF_HUB_OFFLINE .* hf download org/absent"):
            load("org/absent")


def test_a_part_of_a_repository_in_the_cache(folders: tuple[Path, Path], cache: Path) -> None:
    hub_cache.add(cache, "org/model", folders[0], "config.json")
    for load in LOADERS:
        with pytest.raises(ModelFileError):
            load("org/model")
    with pytest.raises(ModelFileError):
        load_model("org/model")
    with pytest.raises(ModelFileError, match="org/model@v9"):
        load_model("org/model@v9")


def test_a_path_goes_first(folders: tuple[Path, Path], cache: Path) -> None:
    (cache.parent / "org").mkdir()
    (cache.parent / "org" / "model").symlink_to(folders[0])
    (cache.parent / "tiny").symlink_to(folders[1])
    assert core_of(load_tokenizer("org/model")) == core_of(load_tokenizer(folders[0]))
    assert core_of(load_tokenizer("tiny")) == core_of(load_tokenizer(folders[1]))


@pytest.mark.usefixtures("cache")
def test_the_packaged_draft_by_its_name() -> None:
    from anydraft import drafts

    packaged = drafts.load("tiny")
    for load in LOADERS:
        assert core_of(load("tiny")) == core_of(packaged.tokenizer)
    model = load_model("tiny")
    assert all(a.equal(b) for a, b in zip(model.parameters(), packaged.model.parameters(), strict=True))
    assert names.short_name("tiny") == "tiny"


class _ReachedError(Exception):
    pass


def test_what_is_fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a tokenizer no weights, to look for a model its configs alone."""
    asked: list[list[str]] = []

    def snapshot_download(*, allow_patterns: list[str], **_: Any) -> str:
        asked.append(allow_patterns)
        raise _ReachedError

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    for ask in (
        lambda: names.look_for("org/model", weights=True),
        lambda: names.tokenizer_named("org/model"),
        lambda: names.model_named("org/model"),
    ):
        with pytest.raises(_ReachedError):
            ask()
    assert asked[0] == ["config.json", "generation_config.json"]
    assert not any("safetensors" in pattern for pattern in asked[1])
    assert "tokenizer*.json" in asked[1]
    assert "*.safetensors" in asked[2]


def test_the_commands_take_hub_ids(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """In a process of its own: the environment says where the cache is, and that nothing may be fetched."""
    hub = tmp_path / "home" / "hub"
    hub_cache.add(hub, "org/big", folders[0])
    hub_cache.add(hub, "org/small", folders[1])
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    for command in (
        ["doctor", "org/big", "org/small"],
        ["align", "org/big", "org/small", "def fib(n):"],
        ["fuzz", "org/big", "--examples", "1", "--seed", "0", "--law", "round-trip"],
        ["serve-config", "--target", "org/big", "--draft", "org/small"],
        ["generate", "--target", "org/big", "--draft", "org/small", "--max-new-tokens", "2", "The"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "anydraft.cli", *command],
            env=environment, capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), (command, done.stderr)
        assert "Traceback" not in done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "anydraft.cli", "doctor", "org/big", "org/absent"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "hf download org/absent" in done.stderr
