"""Where the models and laws of the tests are: the CPU, or the device that ``$ANYDRAFT_TEST_DEVICE`` names.

``elsewhere`` is the device that exists on no machine (:mod:`elsewhere`).
"""

from __future__ import annotations

import os

import torch

import elsewhere

_NAME = os.environ.get("ANYDRAFT_TEST_DEVICE", "cpu")
DEVICE = elsewhere.device() if _NAME == elsewhere.NAME else torch.device(_NAME)
"""``cpu`` unless told otherwise; ``cuda`` alone is its first device."""
if DEVICE.type == "cuda" and DEVICE.index is None:
    DEVICE = torch.device("cuda", 0)

DEVICES = {"draft_device": DEVICE, "target_device": DEVICE}
"""What a strategy is told of them."""
