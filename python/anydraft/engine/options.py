"""The options of a decode: what ``generate``, ``stream``, ``astream`` and ``chat`` take, checked once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypedDict

from anydraft.bridge.common import whole
from anydraft.bridge.prompts import Listable
from anydraft.decoding.stop_rules import Criterion, check_max_time, stop_strings
from anydraft.errors import ArgumentError
from anydraft.models.generation_config import TAKEN, keywords_of
from anydraft.models.logits import ProcessedLaw, Processor, least_length, processed_law

if TYPE_CHECKING:
    import torch
    from transformers import GenerationConfig

PROMPTS = ("prompt", "messages", "input_ids", "inputs", "caches")
"""What a decode begins with; the rest are options."""


class SamplingKeywords(TypedDict, total=False):
    """The keywords of a decode; see :class:`SamplingOptions` for what each means."""

    max_new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None
    draft_temperature: float | None
    draft_top_k: int | None
    draft_top_p: float | None
    min_new_tokens: int | None
    eos_token_id: int | Sequence[int] | None
    stop: str | Sequence[str]
    max_time: float | None
    logits_processor: Sequence[Processor]
    stopping_criteria: Sequence[Criterion]
    seed: int | None
    generation_config: GenerationConfig | None
    """What other keywords do not say is taken from it, and what it cannot say here is refused: see
    :func:`~anydraft.models.generation_config.keywords_of`."""


@dataclass(frozen=True)
class SamplingOptions:
    """How a decode draws and when it ends. ``None`` is off, or the target's own.

    The sampling values are those of transformers and hold for the target. The draft draws at the same
    temperature with the same cuts, unless it is told otherwise: its law is free, the output's is not touched.

    Raises:
        ArgumentError: a value outside its domain.
    """

    max_new_tokens: int = 128
    temperature: float = 0.0
    """0 is greedy."""
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    draft_temperature: float | None = None
    draft_top_k: int | None = None
    draft_top_p: float | None = None
    min_new_tokens: int | None = None
    """No end token before so many tokens."""
    eos_token_id: int | Sequence[int] | None = None
    """The end token or tokens; ``None``: those of the target's generation config, else of its tokenizer."""
    stop: str | Sequence[str] = ()
    """The decode ends with the token that completes one of these strings, all of it behind the prompt."""
    max_time: float | None = None
    """Seconds after which it ends."""
    logits_processor: Sequence[Processor] = ()
    """More of transformers' processors, called before the sampling values take effect."""
    stopping_criteria: Sequence[Criterion] = ()
    """Criteria of transformers that may end it."""
    seed: int | None = None
    """Repeats a sample, in any process on one machine and version. Where memory is short, name ``weights``
    and ``draft_weights`` too, as what is free decides on them. Without one it comes from torch's global
    generator, and lengths and methods that are ``"auto"`` follow measured times."""

    def __post_init__(self) -> None:
        """Check every value; each rule has one home, and most are with what uses the value."""
        self._keep("max_new_tokens", _whole("max_new_tokens", self.max_new_tokens))
        if self.min_new_tokens is not None:
            self._keep("min_new_tokens", _whole("min_new_tokens", self.min_new_tokens))
        ends: Any = self.eos_token_id
        plain = ends.tolist() if isinstance(ends, Listable) else ends
        if isinstance(plain, (Sequence, set, frozenset)):
            self._keep("eos_token_id", tuple(_whole("eos_token_id", token) for token in plain))
        elif plain is not None:
            self._keep("eos_token_id", _whole("eos_token_id", plain))
        if self.seed is not None and (not isinstance(self.seed, Integral) or isinstance(self.seed, bool)):
            raise ArgumentError(f"got seed={self.seed!r}; expected a whole number, or None for any")
        for name in ("logits_processor", "stopping_criteria"):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or not all(map(callable, given)):
                raise ArgumentError(f"got {name}={given!r}; expected a list of those that transformers has")
        self.draft_law()
        self.law(0, ())
        self._keep("stop", kept_stop(self.stop))
        stop_strings(self.stop)
        check_max_time(self.max_time)

    @classmethod
    def of(cls, given: SamplingKeywords, *, own: object = None, prompt_length: int = 0) -> SamplingOptions:
        """The options of one decode.

        ``own``: the target's generation config, which ``given["generation_config"]`` falls back on;
        ``prompt_length``: what ``max_length`` counts too, in tokens.

        Raises:
            ArgumentError: a keyword that there is not, a value outside its domain, or a generation config
                that asks for what cannot be honoured.
        """
        check_names(given)
        values: dict[str, Any] = {name: value for name, value in given.items() if name != "generation_config"}
        config = given.get("generation_config")
        told = {} if config is None else keywords_of(config, own, prompt_length, values)
        return cls(**{**told, **values})

    def draft_law(self) -> ProcessedLaw:
        """What the draft draws by."""
        return processed_law(
            temperature=self.temperature if self.draft_temperature is None else self.draft_temperature,
            top_k=self.top_k if self.draft_top_k is None else self.draft_top_k,
            top_p=self.top_p if self.draft_top_p is None else self.draft_top_p,
            min_p=self.min_p,
        )

    def law(
        self, prompt_length: int, end_ids: Iterable[int], device: torch.device | str = "cpu"
    ) -> ProcessedLaw:
        """What the target's tokens are drawn by after a prompt of so many tokens; ``device``: its own."""
        least = least_length(prompt_length, self.min_new_tokens, end_ids, device)
        return processed_law(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            first=[*self.logits_processor, *least],
        )

    def end_ids(self, own: frozenset[int], width: int) -> frozenset[int]:
        """The end tokens: ``own``, unless others were asked for, of ``width`` ids.

        Raises:
            ArgumentError: an id that the target does not have.
        """
        if self.eos_token_id is None:
            return own
        ends = frozenset(self._ends())
        if any(token >= width for token in ends):
            raise ArgumentError(f"got eos_token_id={self.eos_token_id!r}; expected ids from 0 to {width - 1}")
        return ends

    def _keep(self, name: str, value: object) -> None:
        """As Python has it, whatever library's number was given."""
        object.__setattr__(self, name, value)

    def _ends(self) -> tuple[int, ...]:
        ends = self.eos_token_id
        if ends is None or isinstance(ends, Sequence):
            return tuple(ends or ())
        return (ends,)


def kept_stop(stop: Any) -> Any:
    """Stop strings that can be read again and again: an iterator could be read once."""
    return stop if isinstance(stop, str) or not isinstance(stop, Iterable) else tuple(stop)


def check_names(given: Iterable[str]) -> None:
    """Raise :class:`ArgumentError` for keywords that there are not, and say which there are."""
    known = [*(field.name for field in fields(SamplingOptions)), "generation_config"]
    strange = [name for name in given if name not in known]
    if not strange:
        return
    hints = []
    for name in strange:
        near = get_close_matches(name, [*known, *PROMPTS], 1)
        if name in TAKEN:
            hints.append(f"{name} is said in a GenerationConfig, given as generation_config")
        elif near:
            hints.append(f"for {name}, did you mean {near[0]}?")
    said = "; ".join(hints) or "leave it out"
    raise ArgumentError(f"got {', '.join(strange)}; expected options among {', '.join(known)}: {said}")


def _whole(name: str, value: object) -> int:
    found = whole(value)
    if found is None or found < 0:
        raise ArgumentError(f"got {name}={value!r}; expected a whole number, 0 or more")
    return found
