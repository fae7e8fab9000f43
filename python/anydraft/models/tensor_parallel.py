"""The processes that hold one model together (tensor parallelism): the first decides, the others follow."""

from __future__ import annotations

import pickle
from typing import Any, TypeVar

import torch.distributed as dist

from anydraft.errors import ModelError

Value = TypeVar("Value")


class Team:
    """All processes of the default group of ``torch.distributed``.

    Every one runs its share of the target's passes. Only the first drafts, draws and stops; whatever it
    decides is sent to the others, so that clocks, seeds and rounding can never lead them apart.
    """

    def __init__(self) -> None:
        """The group must be initialised."""
        self.leads = dist.get_rank() == 0

    def share(self, value: Value) -> Value:
        """The first process's ``value``; an exception is raised on all. Other values are dropped."""
        box: list[Any] = [_sendable(value) if self.leads else None]
        dist.broadcast_object_list(box, src=0)
        if isinstance(box[0], Exception):
            raise box[0]
        shared: Value = box[0]
        return shared


def _sendable(value: Any) -> Any:
    """``value``; in place of an error that cannot be sent (of a class in a function) one that can."""
    if isinstance(value, Exception):
        try:
            pickle.loads(pickle.dumps(value))
        except Exception:
            return ModelError(f"the first process failed: {value!r}")
    return value


def team_of(model: object) -> Team | None:
    """The team that holds ``model`` in parts; ``None`` if this process has it whole."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return None
    return Team() if (getattr(model, "_tp_size", None) or 1) > 1 else None
