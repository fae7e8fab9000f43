"""A real vLLM engine on a CPU. These tests need an environment of their own: ``make test-vllm``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before vLLM reads them: one process, so that the tests see the proposer, and little memory for keys.
os.environ.update(
    VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="2", VLLM_LOGGING_LEVEL="WARNING"
)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The real pair as folders, model and tokenizer side by side."""
    from anydraft.loading.folders import load_model, load_tokenizer, packaged

    made = {}
    for name in ("smollm2", "gemma3"):
        folder = Path(os.environ.get("ANYDRAFT_VLLM_MODELS") or tmp_path_factory.mktemp("models")) / name
        if not (folder / "tokenizer.json").exists():
            load_model(packaged(name)).save_pretrained(folder)
            load_tokenizer(packaged(name)).save_pretrained(folder)
        made[name] = str(folder)
    return made
