"""From logits to laws, and from laws to draws.

A *law* is a tensor ``[..., V]`` of probabilities (float32 or float64) that sum to 1 over the last axis.
Nothing here waits for the device: no ``.item()``, no branch on data.

NaN: a NaN anywhere in the logits makes the whole law NaN. The drafting strategies replace such a law by a
point mass (the draft is wasted, the output stays exact); for the target it is the model's own failure, and
:class:`SeededRandomness` then draws index 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

NAN = -1
"""In place of a token: its logits are not numbers."""

_CHUNK = 512
"""Entries per chunk of the two-level draw: about the square root of a large vocabulary."""


class Randomness(Protocol):
    """The only source of chance of a decode: exactness is tested by enumerating its answers."""

    def draw(self, law: Tensor) -> Tensor:
        """One categorical draw per row.

        Shapes: ``law`` ``[..., V]``, rows that sum to 1; result int64 ``[...]`` on the same device.
        An entry of probability zero is never drawn.
        """

    def coins(self, probabilities: Tensor) -> Tensor:
        """Independent coins: ``probabilities`` ``[k]`` in [0, 1] to bool ``[k]``, true = heads."""


class SeededRandomness:
    """Pseudo-random answers, reproducible from one seed.

    Each device has a generator of its own, seeded from ``seed`` and the device's name: two devices must never
    share a stream, or the draft's draws and the target's coins would not be independent.

    ``seed=None`` takes a seed from torch's global generator, so ``torch.manual_seed`` governs it.
    """

    def __init__(self, seed: int | None = None, *, row: int = 0) -> None:
        """Keep the seed; generators are made at first use of a device. Each ``row`` has its own."""
        if seed is None:
            seed = int(torch.randint(2**63 - 1, (), dtype=torch.int64))
        self.seed = seed
        self._name = f"{seed} " if row == 0 else f"{seed} row {row} "
        self._generators: dict[torch.device, torch.Generator] = {}

    @property
    def state(self) -> Mapping[torch.device, Tensor]:
        """Where the answers have got to; set it again, and the same ones come."""
        return {device: generator.get_state() for device, generator in self._generators.items()}

    @state.setter
    def state(self, state: Mapping[torch.device, Tensor]) -> None:
        for device in [device for device in self._generators if device not in state]:
            del self._generators[device]  # made since; it begins anew
        for device, kept in state.items():
            self._generators[device].set_state(kept)

    def apart(self, number: int) -> SeededRandomness:
        """Answers that the seed has given nobody else who has another number, or none."""
        made = SeededRandomness(self.seed)
        made._name = f"{self._name}decode {number} "
        return made

    def draw(self, law: Tensor) -> Tensor:
        """One categorical draw per row."""
        if law.device.type in ("cpu", "mps"):  # the latter has no float64
            return self._inverted(law)
        return self._raced(law)

    def _raced(self, law: Tensor) -> Tensor:
        """By a race, for accelerators, where each operation costs a launch: the shortest waiting time wins.

        The times have the rates ``law``. In float64: in float32, as ``torch.multinomial`` has it, entries
        below about 1e-8 starve.
        """
        waiting = torch.empty(law.shape, dtype=torch.float64, device=law.device)
        return (law / waiting.exponential_(generator=self._generator(law.device))).argmax(-1)

    def _inverted(self, law: Tensor) -> Tensor:
        """By inverting the distribution function at two levels.

        First a chunk of entries is drawn, then an entry in it, so only one pass reads the whole row and the
        sums are long in float64. Cost on a CPU at 262k entries: 0.1 ms (``torch.multinomial``: 4 ms).
        """
        width = law.shape[-1]
        uniform = self._uniform((2, *law.shape[:-1]), law.device)
        whole = width - width % _CHUNK
        sums = law[..., :whole].reshape(*law.shape[:-1], whole // _CHUNK, _CHUNK).sum(-1)
        if whole < width:
            sums = torch.cat((sums, law[..., whole:].sum(-1, keepdim=True)), -1)
        start = _invert(sums, uniform[0]) * _CHUNK
        index = start.unsqueeze(-1) + torch.arange(min(_CHUNK, width), device=law.device)
        entries = law.gather(-1, index.clamp(max=width - 1)).masked_fill(index >= width, 0.0)
        return start + _invert(entries, uniform[1])

    def coins(self, probabilities: Tensor) -> Tensor:
        """Heads where a fresh uniform number in [0, 1) is below the probability."""
        return self._uniform(probabilities.shape, probabilities.device) < probabilities

    def _uniform(self, shape: tuple[int, ...], device: torch.device) -> Tensor:
        return torch.rand(shape, generator=self._generator(device), device=device, dtype=_wide(device))

    def _generator(self, device: torch.device) -> torch.Generator:
        generator = self._generators.get(device)
        if generator is None:
            digest = hashlib.blake2b(f"{self._name}{device}".encode(), digest_size=8).digest()
            generator = torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)
            self._generators[device] = generator
        return generator


class Greedy:
    """No chance at all: the most probable entry, and heads from one half up.

    With laws that are point masses (temperature 0) this is exactly *accept if equal*.
    """

    def draw(self, law: Tensor) -> Tensor:
        """The first most probable entry of each row: ``[..., V]`` to int64 ``[...]``."""
        return law.argmax(-1)

    def coins(self, probabilities: Tensor) -> Tensor:
        """Heads where the probability is at least 1/2."""
        return probabilities >= 0.5


def best_of(scores: Tensor) -> Tensor:
    """The first maximum of each row: ``[..., V]`` to int64 ``[...]``; :data:`NAN` where one is NaN."""
    best = scores.argmax(-1, keepdim=True)  # of a row with a NaN: where that is
    return best.masked_fill_(scores.gather(-1, best).isnan(), NAN).squeeze(-1)


def to_law(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Softmax of ``logits / temperature``; temperature 0 is a point mass on the first maximum.

    Shapes: ``logits`` ``[..., V]`` in any float type; result ``[..., V]``, float32 (float64 stays float64).
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        top = logits.argmax(-1, keepdim=True)  # of a row with a NaN: where that is
        rest = torch.where(logits.gather(-1, top).isnan(), torch.nan, 0.0).to(logits.dtype)
        law = rest.expand_as(logits).clone(memory_format=torch.contiguous_format)
        return law.scatter_(-1, top, 1 + rest)
    return torch.softmax(logits / temperature if temperature != 1 else logits, -1)


def renormalise(law: Tensor) -> Tensor:
    """Divide the rows of ``[..., V]`` by their sums; a row without mass becomes NaN."""
    return law / law.sum(-1, keepdim=True)


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The first positive entry of ``[..., n]`` whose running sum passes ``uniform`` ``[...]`` of the total.

    A parallel running sum need not be monotone, so zero entries are excluded by name, and the threshold stays
    a rounding error below the total.
    """
    wide = _wide(weights.device)
    running = weights.cumsum(-1, dtype=wide)
    threshold = running[..., -1:] * (uniform.unsqueeze(-1) * (1 - 32 * torch.finfo(wide).eps))
    return ((running > threshold) & (weights > 0)).byte().argmax(-1)


def _wide(device: torch.device) -> torch.dtype:
    return torch.float32 if device.type == "mps" else torch.float64
