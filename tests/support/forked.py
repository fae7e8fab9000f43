"""What other processes are asked to do: small, and without PyTorch where it is not needed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from anydraft import Bridge


def usage(bridge: Bridge, text: str) -> tuple[Any, bool]:
    """What a bridge says in another process, and whether PyTorch was imported for that."""
    return bridge.usage(text), "torch" in sys.modules


def refused() -> None:
    """Raise an error there."""
    Bridge.load("nowhere", "neither", "nor")


def in_a_fork(work: Callable[[], str], seconds: int = 60) -> str:
    """What ``work`` says in a forked process, or its error; "hangs" after so long."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            said = work()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            theirs.send(said)
            os._exit(0)
    said = ours.recv() if ours.poll(seconds) else "hangs"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return said
