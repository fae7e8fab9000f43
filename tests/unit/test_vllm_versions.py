"""A version of vLLM that is not known ends the start with a sentence."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from anydraft.errors import ArgumentError
from anydraft.integrations.vllm import versions
from anydraft.integrations.vllm.proposer import Proposer


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0", "0.33.1.post1", "0.32.0+cpu", None])
def test_known_versions(version: str | None) -> None:
    versions.check(version)


@pytest.mark.parametrize("version", ["0.31.0", "0.34.0rc1", "1.0", "dev"])
def test_others_end_the_start(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(__version__=version))
    given: dict[str, Any] = {"draft": "no folder"}
    config = SimpleNamespace(
        additional_config={"anydraft": given},
        speculative_config=SimpleNamespace(num_speculative_tokens=3),
        model_config=SimpleNamespace(max_model_len=64, model="target", tokenizer=None),
    )
    with pytest.raises(ArgumentError, match=rf"got vLLM {version}; expected 0.32 or 0.33.*untested"):
        Proposer(config)
    given["untested"] = True
    versions.check(versions.installed(), untested=True)
