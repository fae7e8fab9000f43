"""One row of a decode: what is committed, what the draft is shown, and how a round ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from anydraft.decoding.committed import Committed
from anydraft.decoding.events import Event, FinishReason
from anydraft.decoding.proposal import Proposal, Start, Verdict, failed
from anydraft.decoding.protocols import Closing, PointedLaw, Session, TargetLaw
from anydraft.decoding.stats import Stats
from anydraft.decoding.stopping import Stopping
from anydraft.decoding.text_only import TextOnlySession
from anydraft.errors import DraftError, PairError, TokenizerError
from anydraft.memory.lookup import Continuation, Lookup
from anydraft.memory.memory import Memory
from anydraft.models.base import Model
from anydraft.models.in_order import OrderedProcessors, OrderedRow
from anydraft.proposers.base import DraftContext, Strategy
from anydraft.proposers.branches import BREADTH, MOST
from anydraft.proposers.draft_state import DraftState
from anydraft.proposers.draw import Draft
from anydraft.proposers.ngram import bytes_for, foreseen
from anydraft.sampling.laws import Greedy, Randomness, best_of
from anydraft.scheduling.cost import Round
from anydraft.scheduling.directors import LOOKUP, Choice, Director


@dataclass
class Row:
    """Everything one row needs, and its state. The committed ids are only ever appended to.

    A round calls :meth:`choose`, :meth:`open`, :meth:`emit`, :meth:`commit` and :meth:`learn`; what one of
    them finds is handed to the next as a value.
    """

    target: Model
    draft: DraftState | None
    strategies: Callable[[str], Strategy]
    """From a method's name to its strategy."""
    director: Director
    """Says how each block is drafted."""
    session: Session
    law: TargetLaw | OrderedRow
    randomness: Randomness
    stopping: Stopping
    decode_bytes: Callable[[list[int]], bytes]
    prompt: list[int]
    joint: bool = False
    """Whether its passes are one with those of other rows."""
    trees: bool = False
    """Whether it may have trees, if the target reads them: its law does not ask for the path to a token."""
    crowded: bool = False
    """Whether so many rows share its passes that they are lines all the same."""
    lookup: Lookup | None = None
    """The text so far, if it may be looked up; that of a row whose passes are joint is not."""
    memory: Memory | None = None
    """Where the text goes in the end."""
    watch: Callable[[Tensor, list[int]], None] | None = None
    """Is shown the target's own logits ``[n, V]`` before each of a round's ``n`` tokens, and their ids."""
    stats: Stats = field(default_factory=Stats)
    emitted: int = 0
    finish_reason: FinishReason | None = None
    method: str = "none"
    """What the latest block was drafted with."""

    def __post_init__(self) -> None:
        """A row that may emit nothing is finished before it begins."""
        self.committed = Committed(self.prompt, self.target.device)
        self._said = bytearray()
        self._looked_up: list[Continuation] = []  # for the round that is being played
        law = self.law
        if not isinstance(law, OrderedRow):
            self.best = law.best if isinstance(law, PointedLaw) else lambda *given: best_of(law(*given))
        if self.stopping.left(0) <= 0:
            self.finish_reason = "length"

    @property
    def unfed(self) -> Tensor:
        """int64 ``[n]``, n >= 1: the committed ids that the target has not read; its cache is cut to fit."""
        if self.target.length >= len(self.committed):
            self.target.crop(len(self.committed) - 1)
        self.target.settle(len(self.committed))
        return self.committed.ids[self.target.length :]

    @property
    def order(self) -> OrderedProcessors | None:
        """The processors that must be called in order, if the law is made by such."""
        return self.law.order if isinstance(self.law, OrderedRow) else None

    def start(self) -> Start:
        """Where a round begins."""
        draft = self.draft
        return Start(
            unread=len(self.committed) - min(self.target.length, len(self.committed) - 1),
            backlog=draft.backlog if draft else 0,
            draft_seconds=draft.seconds if draft else 0.0,
            target_seconds=self.stats.target_seconds,
        )

    @property
    def limit(self) -> int:
        """The most candidates that can be emitted."""
        return self.stopping.left(self.emitted) - 1

    def choose(self) -> Choice | None:
        """How the next block is drafted; ``None``: not at all."""
        found: list[Continuation] = []
        if self.lookup is not None and not self.joint:
            found = self.lookup.continuations(bytes_for(self.limit))
        self._looked_up = found  # once a round: meanwhile another thread may add to the memory
        backlog = self.draft.backlog if self.draft else None
        return self.director.choose(self.limit, backlog, found[0].length if found else 0)

    def open(self, choice: Choice | None) -> tuple[Proposal, Draft | None]:
        """A proposal that is to be drafted so, and what is needed for it; ``None`` if nothing is drafted."""
        start, limit = self.start(), self.limit
        if choice is None:
            return Proposal(start), None
        try:
            return self._opened(start, choice, limit)
        except (DraftError, PairError) as error:
            return Proposal(start, failure=failed(error)), None

    def _opened(self, start: Start, choice: Choice, limit: int) -> tuple[Proposal, Draft | None]:
        pending: Tensor | None = self.committed.first(0)
        gamma = min(choice.length, limit)
        if choice.method != LOOKUP:
            if self.draft is None:
                return Proposal(start, choice), None
            gamma = min(gamma, (self.draft.window or limit + 1) - 1)
            pending = self.draft.begin(gamma) if gamma > 0 else None
        if gamma < 1 or pending is None:
            return Proposal(start, choice), None
        strategy = self.strategies(choice.method)
        self.method = choice.method
        context = DraftContext(
            model=self.draft or self.target,
            pending=pending,
            law=self.draft.law if self.draft else _as_it_is,
            speller=self.session,
            target_device=self.target.device,
            target_width=self.target.vocab_size,
            best=self.draft.best if self.draft and isinstance(self.randomness, Greedy) else None,
            limit=limit,
            likely=self.draft.likely if self.draft else None,
            breadth=BREADTH if choice.least < 1 and self._has_room(gamma) and self.try_trees() else 0,
            least=choice.least,
            looked_up=self._looked_up,
        )
        proposal = Proposal(start, choice._replace(length=gamma), strategy)
        return proposal, (strategy, context, gamma, self.randomness)

    def try_trees(self) -> bool:
        """Whether it has trees as things are. Asked for the first time the target may try to read one."""
        return self.trees and not self.crowded and bool(getattr(self.target, "branches", False))

    def _has_room(self, gamma: int) -> bool:
        """Whether a tree stays inside the target's window, where a line may go up to its end."""
        window = self.target.window
        return window is None or len(self.committed) + 2 * gamma + MOST <= window

    def emit(self, new: list[int]) -> tuple[list[int], FinishReason | None]:
        """Commit what plain decoding would emit of ``new``, and say why it ends there if it does."""
        before = len(self.committed)
        new, reason = self.stopping.cut(new, self.emitted)
        self.committed.append(new)
        for i in range(1, len(new) + 1 if self.stopping.rules else 0):
            asked = self.stopping.ask(self.committed.prefix(before + i))
            if asked and (i < len(new) or reason is None):
                self.committed.crop(before + i)
                new, reason = new[:i], asked
                break
        self.emitted += len(new)
        return new, reason

    def commit(self, proposal: Proposal, verdict: Verdict) -> Event:
        """Bring caches, session and statistics up to what was emitted, and report it."""
        new, failure = verdict.token_ids, verdict.failure
        self.finish_reason = verdict.finish_reason
        self.target.crop(len(self.committed) - 1)
        try:
            text, data, keep, append = self.session.commit(new, verdict.drafted)
            if self.draft and not failure:
                self.draft.drew(verdict.drafted)
                self.draft.splice(keep, append)
        except (DraftError, TokenizerError) as error:
            failure = failed(error)
            if isinstance(error, TokenizerError):  # of the draft's tokenizer: the text goes on without it
                before = self.committed.ids[: len(self.committed) - len(new)].tolist()
                self.session = TextOnlySession(before, self.decode_bytes)
                text, data, _, _ = self.session.commit(new, [])
        self._said += data
        if self.lookup is not None:
            self.lookup.push(data)
        event = Event(
            token_ids=new,
            text=text + self.session.finish() if verdict.finish_reason else text,
            accepted=min(verdict.accepted, len(new)),
            source=verdict.source,
            finish_reason=verdict.finish_reason,
            draft_failure=failure,
        )
        self._count(event, proposal, verdict, len(data))
        if failure and self.draft:
            close(self.draft.model)
            self.draft = None
        return event

    def follow(self, proposal: Proposal, logits: Tensor, event: Event, seconds: float) -> None:
        """Commit what another process that runs the same decode has decided."""
        block = proposal.block
        candidates = block.candidates if block else self.committed.first(0)
        if not isinstance(self.law, OrderedRow):
            self.law(logits, self.committed.ids, candidates)  # a law may keep what it is made from
        self.committed.append(event.token_ids)
        self.emitted += len(event.token_ids)
        proposed = (block.candidate_list if block else None) or []
        verdict = Verdict([], proposed, event.accepted, event.token_ids, event.finish_reason, None)
        self.commit(proposal, verdict)
        self._took(seconds)

    def learn(self, proposal: Proposal, verdict: Verdict, event: Event, seconds: float) -> None:
        """Tell the director what a round took and brought."""
        self._took(seconds)
        start, choice = proposal.start, proposal.choice
        found, self._looked_up = self._looked_up, []
        if event.draft_failure or (choice and proposal.block is None and self.joint):
            return  # the others of its batch may have drafted: it was no round without a draft
        looked_up = choice is not None and choice.method == LOOKUP
        draft = (self.draft.seconds if self.draft else 0.0) - start.draft_seconds
        target = self.stats.target_seconds - start.target_seconds
        if self.target.device.type != "cpu":  # passes are only issued there; the time is spent waiting
            target = seconds - draft
        seen = Round(
            drafted=len(verdict.proposed if looked_up else verdict.drafted),
            proposed=verdict.longest,
            verified=len(verdict.proposed),
            beside=proposal.beside(verdict),
            accepted=verdict.accepted,
            judged=verdict.judged,
            emitted=len(verdict.token_ids),
            fed=start.unread + len(verdict.proposed),
            backlog=1 if looked_up else start.backlog,
            target_seconds=target,
            seconds=seconds,
            foreseen=None if looked_up or not found else self._foreseen(found[0], verdict.token_ids),
        )
        self.director.observe(choice, seen)

    def _foreseen(self, continuation: Continuation, new: list[int]) -> tuple[int, int]:
        """What a lookup would have brought in a round that was played without."""
        return foreseen(continuation.data, (self.decode_bytes([token]) for token in new))

    def _took(self, seconds: float) -> None:
        """Count a round's time; a finished row leaves the batches that its models are in."""
        self.stats.seconds += seconds
        if self.finish_reason:
            self.leave()

    def leave(self) -> None:
        """Take no further part in the batches that the models are in; their other rows go on."""
        close(self.target)
        if self.draft:
            close(self.draft.model)
        self.remember()

    def remember(self) -> None:
        """The decode is over: what was committed goes to the memory, once."""
        memory, self.memory = self.memory, None
        if memory is not None:
            memory.add(self.decode_bytes(self.prompt) + bytes(self._said))

    def _count(self, event: Event, proposal: Proposal, verdict: Verdict, size: int) -> None:
        stats, choice = self.stats, proposal.choice
        stats.drafted += len(verdict.drafted)
        stats.proposed += verdict.longest
        stats.verified += len(verdict.proposed)
        stats.accepted += event.accepted
        stats.looked_up += event.accepted if choice and choice.method == LOOKUP else 0
        stats.recovered += event.source == "recovered"
        stats.bonus += event.source == "bonus"
        stats.bytes += size
        if self.draft:
            stats.draft_passes, stats.draft_seconds = self.draft.passes, self.draft.seconds


def close(model: Model) -> None:
    """Leave the batch that a model's sequence is in, if any."""
    if isinstance(model, Closing):
        model.close()


def _as_it_is(logits: Tensor) -> Tensor:
    return logits
