"""What the tests of hostile files share: commands in a process of their own, and openers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from anydraft.loading.tokenizer_quick import open_tokenizer

COMMANDS = {
    "generate": ["generate", "--target", "{0}", "--draft", "{1}", "--max-new-tokens", "4", "Once"],
    "doctor": ["doctor", "{0}", "{1}"],
}


def command(*arguments: object, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "anydraft.cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def opened(path: Path) -> Any:
    return open_tokenizer(path, lambda *_: None)


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]
