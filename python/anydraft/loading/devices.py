"""Whether torch can use a device here: tried before anything slow begins."""

from __future__ import annotations

import torch

from anydraft.errors import ArgumentError


def usable_device(name: torch.device | str, expected: str = "cpu, or cuda") -> torch.device:
    """The device of a name; ``expected``: the names to take instead, as an error tells them.

    Raises:
        ArgumentError: no device's name, or one that torch cannot use here.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ArgumentError(
            f"got the device {str(name)!r}, which torch cannot use here ({reason}); expected {expected}"
        ) from error
    return device
