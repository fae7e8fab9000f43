"""Plans kept in the user's cache folder, so that a pair is measured once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir
from anydraft.scheduling.plan import Plan


def plan_path(pair: dict[str, str], kind: str) -> Path:
    """Where the plan of a pair is kept; ``kind``: ``"greedy"`` or ``"sampling"``."""
    told = "\n".join(f"{name}: {value}" for name, value in sorted(pair.items()))
    return cache_dir.root() / "plans" / f"{hashlib.sha256(told.encode()).hexdigest()[:24]}-{kind}.json"


def keep(plan: Plan) -> Path:
    """Write a plan where :func:`find` finds it.

    Raises:
        ModelFileError: the cache folder cannot be written.
    """
    path = plan_path(plan.pair, plan.kind)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        plan.save(partial)
        partial.replace(path)
    except OSError as error:
        raise ModelFileError(f"cannot write {path}: {error}; set ANYDRAFT_CACHE to another folder") from error
    return path


def find(pair: dict[str, str], kind: str) -> Plan | None:
    """The plan that was kept for a pair, if it can be read."""
    try:
        path = plan_path(pair, kind)
        return Plan.load(path) if path.is_file() else None
    except OSError:  # of another version, or no cache folder that can be read: it will be measured again
        return None
