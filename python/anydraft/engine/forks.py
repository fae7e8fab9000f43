"""A process that was forked: PyTorch's threads are not in it, and a pass would wait for them for ever."""

from __future__ import annotations

import os

import torch

from anydraft.errors import ModelError


class Forks:
    """Whether this process was forked after models had run in its parent."""

    def __init__(self) -> None:
        """Nothing has run yet."""
        self._ran = False
        self._orphaned = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._orphaned = self._orphaned or self._ran

    def runs(self) -> None:
        """Models are about to run.

        Raises:
            ModelError: in a forked process, on more threads than one.
        """
        if self._orphaned and torch.get_num_threads() > 1:
            raise ModelError(
                "got a process that was forked after models had run in it, where PyTorch waits for ever for "
                f"{torch.get_num_threads()} threads that were not forked; expected one thread, or a process "
                "of its own. Call torch.set_num_threads(1) first here, or start processes by 'spawn'"
            )
        self._ran = True


FORKS = Forks()
