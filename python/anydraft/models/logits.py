"""The target's law as transformers itself would compute it: its own processors, in its own order.

Decoding one token at a time, transformers calls every processor with the ids so far and one row of
logits. Verifying a block needs the same rows all at once: processors that do not look at the ids run
once over all rows, the others row by row with the ids that plain decoding would have had there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from numbers import Real
from typing import Literal, TypeAlias

import torch
import transformers
from torch import Tensor
from transformers import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    InfNanRemoveLogitsProcessor,
    LogitNormalization,
    LogitsProcessor,
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from anydraft.errors import ArgumentError
from anydraft.models.penalties import CountPenalty, LogitBias
from anydraft.sampling.laws import best_of, to_law

_BLIND = {
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    MinPLogitsWarper,
    TypicalLogitsWarper,
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    SuppressTokensLogitsProcessor,
    InfNanRemoveLogitsProcessor,
    LogitNormalization,
    LogitBias,
}
"""Processors that ignore the ids and treat every row alone. Exact types: a subclass may do neither."""

_OF_THE_TARGET = {EtaLogitsWarper, SuppressTokensLogitsProcessor, LogitBias}
"""Of those, what holds ids of the target's, or tensors on its device."""

_PURE = {CountPenalty, *_BLIND} | {
    kind
    for name in (
        "EncoderNoRepeatNGramLogitsProcessor",
        "EncoderRepetitionPenaltyLogitsProcessor",
        "ExponentialDecayLengthPenalty",
        "ForcedBOSTokenLogitsProcessor",
        "ForcedEOSTokenLogitsProcessor",
        "MinLengthLogitsProcessor",
        "MinNewTokensLengthLogitsProcessor",
        "NoBadWordsLogitsProcessor",
        "NoRepeatNGramLogitsProcessor",
        "RepetitionPenaltyLogitsProcessor",
        "SequenceBiasLogitsProcessor",
        "SuppressTokensAtBeginLogitsProcessor",
        "TopHLogitsWarper",
        "WatermarkLogitsProcessor",
    )
    if (kind := getattr(transformers, name, None)) is not None
}
"""Those that also may read the ids, and keep no state: any text may be shown to them, in any order."""

Processor: TypeAlias = Callable[..., Tensor]
"""A logits processor of transformers: ids ``[B, n]`` and scores ``[B, V]`` to scores ``[B, V]``."""

_COLDEST = 1e-30
"""Dividing a logit by less overflows float32."""


class ProcessedLaw:
    """Logits to laws through transformers' logits processors.

    ``choice="greedy"`` is temperature 0: after the processors the law is a point mass on the first maximum.
    Processors are kept as given and never copied. They are shown candidates that may be rejected, so only
    those that are :func:`pure` belong here; for others see :mod:`anydraft.models.in_order`.
    """

    def __init__(
        self,
        processors: Iterable[Processor],
        choice: Literal["sample", "greedy"] = "sample",
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Keep ``processors`` in the order given.

        ``dtype``: what logits are turned into first, float32 as in transformers.
        """
        if choice not in ("sample", "greedy"):
            raise ArgumentError(f"got choice={choice!r}; expected 'sample' or 'greedy'")
        self.processors: list[Processor] = list(processors)
        self._temperature = 0.0 if choice == "greedy" else 1.0
        self._dtype = dtype

    @property
    def greedy(self) -> bool:
        """Whether the law is always a point mass."""
        return self._temperature == 0.0

    @property
    def pure(self) -> bool:
        """Whether all processors may be shown candidates that are then rejected."""
        return all(map(pure, self.processors))

    @property
    def reads_prefix(self) -> bool:
        """Whether any processor looks at the ids so far; if none does, no cost grows with the context."""
        return any(type(p) not in _BLIND for p in self.processors)

    def __call__(self, logits: Tensor, prefix: Tensor | Sequence[int], candidates: Tensor) -> Tensor:
        """The laws at every candidate of a block and after the last.

        Shapes: ``logits`` ``[k, V]`` in any float type; ``prefix`` int64 ``[n]``, the ids up to where row 0
        predicts; ``candidates`` int64 ``[k - 1]`` on the logits' device; result ``[k, V]``.
        """
        return self.law_of(self.scores(logits, prefix, candidates))

    def law_of(self, scores: Tensor) -> Tensor:
        """Processed logits ``[..., V]`` to laws ``[..., V]``."""
        return to_law(scores, self._temperature)

    def best(self, logits: Tensor, prefix: Tensor | Sequence[int], candidates: Tensor) -> Tensor:
        """The likeliest token at every candidate and after the last, without making the laws.

        Shapes as for a call; result int64 ``[k]``, :data:`~anydraft.sampling.laws.NAN` where a logit is NaN.
        """
        return best_of(self.scores(logits, prefix, candidates))

    def scores(self, logits: Tensor, prefix: Tensor | Sequence[int], candidates: Tensor) -> Tensor:
        """The processed logits ``[k, V]``. Shapes as for a call; ``logits`` is not changed."""
        if candidates.shape[0] + 1 != logits.shape[0]:
            raise ArgumentError(
                f"got {logits.shape[0]} rows of logits and {candidates.shape[0]} candidates; "
                "expected one row more than candidates"
            )
        if not self.reads_prefix:
            return self.blind_scores(logits)
        scores = logits.to(self._dtype, copy=True)  # a processor may write into what it is given
        start = len(prefix)
        before = torch.as_tensor(prefix, dtype=torch.int64, device=logits.device)
        ids = torch.cat((before, candidates))[None]
        for processor in self.processors:
            if type(processor) in _BLIND:
                scores = processor(ids, scores)
            else:
                rows = [processor(ids[:, : start + i], scores[i, None]) for i in range(len(scores))]
                scores = torch.cat(rows)
        return scores

    @property
    def without_prefix(self) -> LawWithoutPrefix:
        """The law by only those processors that do not look at the ids, nor know any.

        For a draft, whose own law may be any law: what the others know is in the target's ids, and what they
        hold may lie on the target's device.
        """
        return LawWithoutPrefix(self)

    def blind_scores(self, logits: Tensor, *, drafts: bool = False) -> Tensor:
        """The logits ``[k, V]`` as processed by those that do not look at the ids.

        ``drafts``: they are a draft's; those that know ids of the target's are left out.
        """
        scores = logits.to(self._dtype)
        for processor in self.processors:
            if type(processor) in _BLIND and not (drafts and type(processor) in _OF_THE_TARGET):
                scores = processor(None, scores)
        return scores


class LawWithoutPrefix:
    """See :attr:`ProcessedLaw.without_prefix`."""

    def __init__(self, law: ProcessedLaw) -> None:
        """``law``: where the processors come from."""
        self._law = law

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits ``[..., V]`` to laws ``[..., V]``."""
        return self._law.law_of(self.scores(logits))

    def scores(self, logits: Tensor) -> Tensor:
        """The processed logits ``[..., V]``, of which the first maximum is the likeliest token."""
        flat = logits.reshape(-1, logits.shape[-1])
        return self._law.blind_scores(flat, drafts=True).reshape(logits.shape)


def pure(processor: object) -> bool:
    """Whether a processor is known to answer by what it is shown alone, whatever that is."""
    return type(processor) in _PURE


def processed_law(
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    first: Iterable[Processor] = (),
) -> ProcessedLaw:
    """The law of these sampling values; arguments and errors as for :func:`logits_processors`.

    ``first``: processors that come before all others.
    """
    processors = logits_processors(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    return ProcessedLaw([*first, *processors], "greedy" if temperature == 0 else "sample")


def least_length(
    prompt_length: int,
    min_new_tokens: int | None,
    end_ids: Iterable[int],
    device: torch.device | str = "cpu",
) -> list[LogitsProcessor]:
    """No end token before ``min_new_tokens`` tokens; none or 0: at any place. ``device``: of the logits."""
    ends = sorted(end_ids)
    if not min_new_tokens or not ends:
        return []
    return [MinNewTokensLengthLogitsProcessor(prompt_length, min_new_tokens, ends, device=str(device))]


def logits_processors(
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
) -> LogitsProcessorList:
    """transformers' own processors for these sampling values, in its own order.

    ``None`` is off, and so are temperature 1, top_k 0, top_p 1, min_p 0 and repetition_penalty 1. At
    temperature 0 (greedy) only the repetition penalty is left: the others keep the maximum.

    Raises:
        ArgumentError: temperature < 0, top_k < 0 or not whole, top_p outside (0, 1], min_p outside [0, 1],
            repetition_penalty <= 0, or anything not a finite number.
    """
    _require("temperature", temperature, "0 (greedy) or more, such as 0.7", lambda t: t == 0 or t >= _COLDEST)
    if top_k is not None:
        _require("top_k", top_k, "a whole number, 0 (off) or more", lambda k: k >= 0 and k == int(k))
    if top_p is not None:
        _require("top_p", top_p, "more than 0 and at most 1 (1 is off)", lambda p: 0 < p <= 1)
    if min_p is not None:
        _require("min_p", min_p, "from 0 (off) to 1", lambda p: 0 <= p <= 1)
    if repetition_penalty is not None:
        _require("repetition_penalty", repetition_penalty, "more than 0 (1 is off)", lambda r: r > 0)
    made: list[LogitsProcessor] = []
    if repetition_penalty is not None and repetition_penalty != 1:
        made.append(RepetitionPenaltyLogitsProcessor(penalty=float(repetition_penalty)))
    if temperature != 0:
        if temperature != 1:
            made.append(TemperatureLogitsWarper(float(temperature)))
        if top_k:
            made.append(TopKLogitsWarper(top_k=int(top_k)))
        if top_p is not None and top_p < 1:
            made.append(TopPLogitsWarper(top_p=float(top_p)))
        if min_p:
            made.append(MinPLogitsWarper(min_p=float(min_p)))
    return LogitsProcessorList(made)


def _require(name: str, value: object, expected: str, holds: Callable[[float], bool]) -> None:
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # of an integer of hundreds of digits
            number = float(value)
    if not (math.isfinite(number) and holds(number)):
        raise ArgumentError(f"got {name}={value!r}; expected {expected}")
