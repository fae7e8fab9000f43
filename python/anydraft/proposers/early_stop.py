"""Ending a block early, by a look at the draft's law before the draw."""

from __future__ import annotations

from torch import Tensor

from anydraft.scheduling.lookahead import Stop


class EarlyStop:
    """Notes how sure the draft is of each token, and says when the block is long enough.

    It looks at logits and at nothing that was drawn from them, and a token that ends a block is still drawn
    and verified. So whether a token is the last one is known before it is, and tells nothing about it:
    strategies that treat the last token in a way of its own stay exact too.

    Waits for the device at every token: for drafts on a CPU, where that is free.
    """

    def __init__(self, stop: Stop) -> None:
        """A new block."""
        self.peaks: list[float] = []
        """The largest probability of every law so far, as the model says it, before temperature and cuts."""
        self._stop = stop

    def is_last(self, logits: Tensor) -> bool:
        """Whether the token that will be drawn by ``logits`` ``[D]`` ends the block."""
        logits = logits.float()
        top = logits.amax()
        self.peaks.append(float(1 / (logits - top).exp_().sum()))
        return self._stop.is_last(self.peaks)
