"""Which versions of vLLM ask a proposer as this one expects to be asked."""

from __future__ import annotations

import sys

from anydraft.errors import ArgumentError

KNOWN = ("0.32", "0.33")
"""0.32 is tested (``make test-vllm``); 0.33 asks in the same way, by its source (there is no build of it that
runs without a GPU)."""


def installed() -> str | None:
    """The version of the vLLM that runs here; ``None`` outside of it."""
    vllm = sys.modules.get("vllm")
    return None if vllm is None else getattr(vllm, "__version__", None)


def check(version: str | None, *, untested: bool = False) -> None:
    """End the start where a version of vLLM is not known.

    Raises:
        ArgumentError: another version, and it was not said that it may be.
    """
    if version is None or untested or ".".join(version.split(".")[:2]) in KNOWN:
        return
    raise ArgumentError(
        f"got vLLM {version}; expected {' or '.join(KNOWN)}, whose way to ask a proposer is known here. "
        'Install one of them, or try this one with "untested": true beside "draft" in additional_config'
    )
