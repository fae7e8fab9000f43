"""What happened in a decode, counted once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stats:
    """Counts of one decode. Every emitted token is exactly one of accepted, recovered and bonus."""

    drafted: int = 0
    """Draft tokens drawn."""
    proposed: int = 0
    """Target tokens that could have been accepted: of a tree, those of its longest path."""
    verified: int = 0
    """Target tokens that were put to the test: of a tree, all."""
    accepted: int = 0
    """Proposed tokens that were emitted."""
    looked_up: int = 0
    """Accepted tokens that the text itself proposed, without the draft."""
    recovered: int = 0
    """Emitted tokens drawn by the target after a rejection: something else was proposed in their place."""
    bonus: int = 0
    """Emitted tokens drawn by the target where nothing was proposed: after full acceptance (of a tree: of one
    path up to its end), or with no draft at all."""
    target_passes: int = 0
    draft_passes: int = 0
    bytes: int = 0
    """Bytes of the emitted tokens."""
    draft_seconds: float = 0.0
    """Wall time in the draft's forward calls (on an accelerator: until they were issued)."""
    target_seconds: float = 0.0
    """Wall time in the target's forward calls (on an accelerator: until they were issued)."""
    seconds: float = 0.0
    """Wall time of the whole decode."""

    @property
    def tokens(self) -> int:
        """Emitted tokens."""
        return self.accepted + self.recovered + self.bonus

    @property
    def block_efficiency(self) -> float:
        """Emitted tokens per target pass."""
        return self.tokens / self.target_passes if self.target_passes else 0.0

    @property
    def bytes_per_pass(self) -> float:
        """Emitted bytes per target pass: the figure that does not depend on the tokenizer."""
        return self.bytes / self.target_passes if self.target_passes else 0.0

    @property
    def acceptance_rate(self) -> float:
        """Accepted tokens per proposed token."""
        return self.accepted / self.proposed if self.proposed else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Emitted tokens per second of wall time."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def overhead(self) -> float:
        """Share of the wall time outside both models' forward calls."""
        return 1 - (self.draft_seconds + self.target_seconds) / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, float]:
        """All counts and rates, for JSON."""
        rates = (
            "tokens",
            "block_efficiency",
            "bytes_per_pass",
            "acceptance_rate",
            "tokens_per_second",
            "overhead",
        )
        return {**vars(self), **{name: getattr(self, name) for name in rates}}
