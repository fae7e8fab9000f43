"""What an examination found, as plain values: ready for JSON, a terminal and a page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from anydraft.doctor.prediction import PredictedPlan

Level: TypeAlias = Literal["usable", "poor", "impossible"]
LEVELS: tuple[Level, ...] = ("usable", "poor", "impossible")
"""From best to worst; the place is the exit code of ``anydraft doctor``."""

Severity: TypeAlias = Literal["note", "warning", "fatal"]
Who: TypeAlias = Literal["target", "draft"]

ALL = "all"
"""The name of the row that takes all texts together."""


@dataclass(frozen=True)
class Side:
    """One tokenizer, and its model as far as files say."""

    name: str
    ids: int
    """Ids of the tokenizer, gaps included."""
    text_tokens: int
    """Tokens that stand for bytes."""
    control_tokens: int
    surface: str
    fingerprint: str
    rows: int | None
    """Rows of the model's embedding; more than :attr:`ids` is padding."""
    window: int | None
    sliding_window: int | None
    rollback: str | None
    """How rejected tokens are taken back from the model's cache."""
    bytes: int | None
    """The size of the model's weights as the files have them: what they take in memory if they stay so."""
    lengths: list[int]
    """How many tokens of the texts have 1, 2, … bytes; the last number counts all that are longer."""

    @property
    def size(self) -> str | None:
        """:attr:`bytes` in words."""
        if self.bytes is None:
            return None
        return f"{self.bytes / 2**30:.2f} GiB" if self.bytes >= 2**30 else f"{self.bytes / 2**20:.1f} MiB"


@dataclass(frozen=True)
class Overlap:
    """Overlap by count, in tokens that stand for bytes."""

    shared: int
    """Distinct byte strings that are a token of both."""
    target_tokens: int
    target_shared: int
    draft_tokens: int
    draft_shared: int


@dataclass(frozen=True)
class TextUse:
    """Overlap weighted by use in one text."""

    name: str
    bytes: int
    target_tokens: int
    target_shared: int
    """How many of them the draft has as one token."""
    draft_tokens: int
    draft_shared: int
    """How many of them the target has as one token."""
    common_ends: int
    """Places where both have a token boundary."""
    reach: dict[str, int]
    """By method, how many of the target's tokens it could propose if the draft knew the text."""
    target_unwritten: int
    """Bytes of the text that the target has no token for."""
    draft_unwritten: int

    @property
    def target_share(self) -> float:
        """The share of the target's tokens that the draft has."""
        return self.target_shared / self.target_tokens if self.target_tokens else 0.0

    @property
    def draft_share(self) -> float:
        """The share of the draft's tokens that the target has."""
        return self.draft_shared / self.draft_tokens if self.draft_tokens else 0.0

    @property
    def draft_per_target(self) -> float:
        """How many draft tokens write what one target token does."""
        return self.draft_tokens / self.target_tokens if self.target_tokens else 0.0

    def reached(self, method: str) -> float:
        """:attr:`reach` as a share."""
        return self.reach[method] / self.target_tokens if self.target_tokens else 0.0


@dataclass(frozen=True)
class LostToken:
    """A token in use that the other side does not have as one."""

    token: int
    shown: str
    """Its bytes, with what is invisible made visible."""
    count: int
    written: list[str]
    """The tokens with which the other side writes it by itself."""


@dataclass(frozen=True)
class FalseFriend:
    """One vocabulary string that stands for different bytes."""

    string: str
    target: int
    target_shown: str
    draft: int
    draft_shown: str


@dataclass(frozen=True)
class Strings:
    """What a map by vocabulary strings would make of the pair."""

    equal: int
    """Strings that both vocabularies have."""
    wrong: int
    """Those of them that stand for different bytes: false friends."""
    missed: int
    """Target tokens with a partner by bytes whose string the draft does not have, or has for other bytes."""
    false_friends: list[FalseFriend]
    """The first few, ordinary text tokens before others."""


@dataclass(frozen=True)
class ControlPair:
    """A control token and what stands in for it on the other side."""

    token: int
    content: str
    partner: int
    partner_content: str
    why: Literal["same content", "same role"]


@dataclass(frozen=True)
class Chat:
    """How a chat reaches both models."""

    target_prompt: str
    draft_prompt: str
    target_by: str
    """By what the target's prompt is made: a chat template, or plain text and why."""
    draft_by: str


@dataclass(frozen=True)
class Control:
    """Control tokens and chats, bridged as a decode will do it."""

    proposed: list[ControlPair]
    """What the draft's control tokens propose."""
    shown: list[ControlPair]
    """What the draft is shown for the target's control tokens."""
    target_unpaired: int
    draft_unpaired: int
    ends: list[str]
    """Where the target stops."""
    ends_proposed: list[str]
    """Those of them that the draft can propose."""
    target_opening: list[str]
    """The control tokens before any text."""
    draft_opening: list[str]
    chat: Chat


@dataclass(frozen=True)
class Hazard:
    """Something that can go wrong, or looks as if it could."""

    who: Who
    severity: Severity
    title: str
    detail: str


@dataclass(frozen=True)
class Memory:
    """The tables of a bridge, in bytes."""

    tables: int
    """Translation and expansion: every method but the string-level one."""
    classes: int
    """Class coupling, in addition: ``slrs`` alone."""


@dataclass(frozen=True)
class PictureBlock:
    """What lies between two common boundaries, as visible text."""

    target: list[str]
    draft: list[str]
    common: bool
    """Whether it ends at a common boundary; the last one may not."""


@dataclass(frozen=True)
class Picture:
    """A text cut by both tokenizers."""

    blocks: list[PictureBlock]


@dataclass(frozen=True)
class Verdict:
    """Whether the pair can work, in one line."""

    level: Level
    line: str
    greedy_method: str | None
    """The method at temperature 0."""
    sampling_method: str | None
    """The method when sampling."""


@dataclass(frozen=True)
class Report:
    """Everything that two tokenizers and the files beside them tell about a pair."""

    target: Side
    draft: Side
    overlap: Overlap
    strings: Strings
    texts: list[TextUse]
    """One row a text, and last :data:`ALL`, their sum."""
    lost: list[LostToken]
    """The target's tokens in use that the draft lacks, most used first."""
    foreign: list[LostToken]
    """The draft's tokens in use that the target lacks, most used first."""
    control: Control
    hazards: list[Hazard]
    memory: Memory
    picture: Picture
    verdict: Verdict
    predicted: list[PredictedPlan] | None = None
    """What the planner measured, where there were weights and it was asked."""

    @property
    def total(self) -> TextUse:
        """All texts together."""
        return self.texts[-1]

    def as_dict(self) -> dict[str, Any]:
        """For JSON; shares are added to the counts they come from."""
        made = asdict(self)
        for row, use in zip(made["texts"], self.texts, strict=True):
            row |= {
                "target_share": use.target_share,
                "draft_share": use.draft_share,
                "draft_per_target": use.draft_per_target,
                "reach_share": {name: use.reached(name) for name in use.reach},
            }
        return made


@dataclass(frozen=True)
class Refusal:
    """A pair that could not be examined, because a tokenizer has no byte form or cannot be read."""

    target_name: str
    draft_name: str
    reason: str

    @property
    def verdict(self) -> Verdict:
        """Impossible, and why."""
        return Verdict("impossible", f"impossible: {self.reason}", None, None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "target": {"name": self.target_name},
            "draft": {"name": self.draft_name},
            "verdict": asdict(self.verdict),
        }
