"""How the engines of these tests are configured."""

from __future__ import annotations

from typing import Any, Literal

Name = Literal["smollm2", "gemma3"]
DIRECTIONS: list[tuple[Name, Name]] = [("gemma3", "smollm2"), ("smollm2", "gemma3")]


def speculative(
    folders: dict[str, str], draft: Name, how: str | None, tokens: int = 5, **settings: Any
) -> dict[str, Any]:
    """Engine arguments for ``how``: ``"ours"``, ``"theirs"`` or no speculation."""
    if how is None:
        return {}
    if how == "theirs":
        config = {"method": "draft_model", "model": folders[draft], "use_heterogeneous_vocab": True}
        return {"speculative_config": {**config, "num_speculative_tokens": tokens}}
    config = {"method": "custom_class", "model": "anydraft.integrations.vllm.Proposer"}
    ours = {"draft": folders[draft], "dtype": "float32", "adapt": "off", **settings}
    return {
        "speculative_config": {**config, "num_speculative_tokens": tokens},
        "additional_config": {"anydraft": ours},
    }


def engine_arguments(folders: dict[str, str], target: Name, **more: Any) -> dict[str, Any]:
    """What all engines here have in common."""
    return {
        "model": folders[target],
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 256,
        "max_num_seqs": 8,
        "disable_log_stats": False,
        # theirs cannot draft for or with a model of several kinds of layers otherwise
        "disable_hybrid_kv_cache_manager": True,
        **more,
    }
