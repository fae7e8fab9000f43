"""Our counters beside vLLM's own, on the same /metrics page.

vLLM serves there whatever processes write to ``PROMETHEUS_MULTIPROC_DIR``; ``anydraft serve-config`` sets it.
vLLM's own counters of speculative decoding stay what they are.
"""

from __future__ import annotations

from typing import Any

from anydraft.integrations.vllm.drafter import Counts

_COUNTERS = {
    "rounds": "Rounds in which vLLM asked for proposals",
    "drafted_rounds": "Rounds in which something was drafted",
    "proposed": "Target tokens proposed",
    "accepted": "Proposed tokens that the target emitted",
    "draft_seconds": "Seconds in the draft model",
    "own_seconds": "Seconds of anydraft outside the draft model",
    "server_seconds": "Seconds of vLLM between two proposals, while a request went on",
}
_LABELS = ["target", "draft"]


class Metrics:
    """``anydraft:*`` counters of one pair; nothing where ``prometheus_client`` is missing."""

    def __init__(self, target: str, draft: str) -> None:
        """Register the counters, or find them registered."""
        self._written = Counts()
        self._counters: dict[str, Any] = {}
        try:
            from prometheus_client import REGISTRY, Counter
        except ImportError:
            return
        for name, said in _COUNTERS.items():
            full = f"anydraft:{name}"
            registered = getattr(REGISTRY, "_names_to_collectors", {}).get(full)
            counter = registered or Counter(full, said, _LABELS)
            self._counters[name] = counter.labels(target, draft)

    def update(self, counts: Counts) -> None:
        """Add what happened since the last call."""
        for name, counter in self._counters.items():
            counter.inc(getattr(counts, name) - getattr(self._written, name))
            setattr(self._written, name, getattr(counts, name))
