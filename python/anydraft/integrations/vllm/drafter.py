"""One draft model for all running requests of a server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from anydraft.bridge.bridge import Bridge
from anydraft.decoding.protocols import Session
from anydraft.integrations.vllm.requests import Ids, Known, RequestTable
from anydraft.integrations.vllm.turns import Opening
from anydraft.models.ahead import ahead_by, look_ahead
from anydraft.models.base import Model
from anydraft.proposers.draft_state import DraftState
from anydraft.scheduling.cost import Round
from anydraft.scheduling.directors import Adaptive, Choice


class Sequences(Protocol):
    """The draft's sequences: a batch of any engine."""

    @property
    def model(self) -> Any:
        """What they are sequences of; it has a ``device``."""

    def add(self) -> Any:
        """An empty one: a :class:`~anydraft.models.base.Model` with its number, ``row``."""

    def close(self, row: int) -> None:
        """One will not be advanced again."""


@dataclass
class Counts:
    """What happened so far, in all."""

    rounds: int = 0
    """Rounds of the server in which it asked for proposals."""
    drafted_rounds: int = 0
    proposed: int = 0
    accepted: int = 0
    draft_seconds: float = 0.0
    """In the draft model."""
    own_seconds: float = 0.0
    """In everything else of ours."""
    server_seconds: float = 0.0
    """Between our turns, while a request went on."""


@dataclass(eq=False)
class _Request:
    session: Session
    view: DraftState
    model: Model
    proposed: list[int] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    """What the draft drew after its view."""
    drafted: int = 0
    """Draft tokens drawn so far."""
    translated: int = 0
    """Target tokens that they became."""


class Drafter:
    """Proposes target ids for every row of a server's batch, greedily and at string level.

    The server verifies each proposal as a point mass, at any temperature: then the likeliest text is the best
    to propose. A request's draft context is kept by splices; nothing here costs what the context is long, but
    one comparison of its ids.
    """

    def __init__(
        self,
        bridge: Bridge,
        batch: Sequences,
        opening: Opening,
        *,
        most_tokens: int,
        most_requests: int = 16,
        patience: int = 256,
        adapt: bool = True,
    ) -> None:
        """``most_tokens``: target tokens a proposal may have; ``most_requests``: larger batches get none.

        ``adapt``: whether to stop drafting where it does not pay.
        """
        self._bridge = bridge
        self._batch = batch
        self._opening = opening
        self._most_tokens, self._most_requests = most_tokens, most_requests
        self._adapt = adapt
        self._directors: dict[int, Adaptive] = {}
        self._table = RequestTable(patience)
        self._began: float | None = None
        self._left = 0.0
        self._choice: Choice | None = None
        self._backlog = 0
        self._rows = 0
        offsets = torch.from_numpy(bridge.tables.expansion_offsets)
        self._barred = (offsets.diff() <= 0).to(batch.model.device)
        self.counts = Counts()

    def propose(self, rows: Sequence[Ids], fresh: Sequence[int], room: Sequence[int]) -> list[list[int]]:
        """Proposals for every row, in target ids; an empty one where nothing is drafted.

        ``rows`` int32 ``[n_i]``: all ids of each row; ``fresh``: how many of them were emitted since the last
        call, 0 for a row whose prompt is still being read; ``room``: how many more ids each may have.
        """
        began, drafting_before = time.perf_counter(), self.counts.draft_seconds
        wanted = [i for i, count in enumerate(fresh) if count > 0]
        matched = self._table.match([rows[i] for i in wanted])
        self._observe(began, fresh, [_goes_on(k, rows[i]) for i, k in zip(wanted, matched, strict=True)])
        self._began = began
        requests = self._update(rows, fresh, wanted, matched)
        self._backlog = max((requests[i].view.backlog for i in wanted), default=0)
        self._choice = self._choose(len(wanted), max((room[i] - 1 for i in wanted), default=0))
        proposals: list[list[int]] = [[] for _ in rows]
        self.counts.rounds += 1
        if self._choice and wanted:
            self.counts.drafted_rounds += 1
            drafting = [i for i in wanted if room[i] > 1]
            drawn = self._draw([requests[i] for i in drafting])
            for i, ids in zip(drafting, drawn, strict=True):
                proposals[i] = self._translate(requests[i], ids, min(self._most_tokens, room[i] - 1))
        self._rows = len(wanted)
        self._left = time.perf_counter()
        self.counts.own_seconds += self._left - began - (self.counts.draft_seconds - drafting_before)
        return proposals

    def forget(self) -> None:
        """Drop all requests: those that go on begin anew."""
        for known in self._table.drop_all():
            self._close(known)
        self._began = None

    def _choose(self, requests: int, limit: int) -> Choice | None:
        """Whether to draft for so many requests."""
        if requests > self._most_requests:
            return None
        if not self._adapt:
            return Choice("slem", self._most_tokens)
        # Every block has the same length; one that a request has no room for is cut.
        return self._director(requests).choose(self._most_tokens if limit > 0 else 0, self._backlog, 0)

    def _director(self, requests: int) -> Adaptive:
        """What decides for batches of about that size: sizes are told apart by powers of two."""
        size, most = max(requests, 1).bit_length(), self._most_tokens
        if size not in self._directors:
            ahead = 1 + len(ahead_by(self._batch.model))
            self._directors[size] = Adaptive(("slem",), 0.0, lengths=range(most, most + 1), ahead=ahead)
        return self._directors[size]

    def _observe(self, now: float, fresh: Sequence[int], going_on: Sequence[bool]) -> None:
        """Note what the round brought that began with our last proposals, if any request is still the same.

        If none is, the server may have had nothing to do since then.
        """
        if self._began is None or not any(going_on):
            return
        self.counts.server_seconds += now - self._left
        emitted = [count for count in fresh if count > 0]
        if all(going_on) and len(emitted) == self._rows:  # else one came or went
            mean = sum(emitted) / len(emitted)
            drafted = self._choice.length if self._choice else 0
            reading = sum(count == 0 for count in fresh)  # prompts, which the server reads in the same pass
            seen = Round(
                drafted=drafted,
                proposed=drafted,
                accepted=mean - 1,
                emitted=mean,
                fed=drafted + 1 + reading,
                backlog=self._backlog,
                target_seconds=now - self._left,
                seconds=now - self._began,
                judged=sum(min(count, drafted) for count in emitted) / len(emitted),
            )
            self._director(len(emitted)).observe(self._choice, seen)

    def _update(
        self,
        rows: Sequence[Ids],
        fresh: Sequence[int],
        wanted: Sequence[int],
        matched: Sequence[Known | None],
    ) -> dict[int, _Request]:
        """Bring every wanted row's request up to date with its ids."""
        current: list[Known] = []
        for i, known in zip(wanted, matched, strict=True):
            if known is None:
                known = self._begin(rows[i], fresh[i])
            else:
                self._advance(known, rows[i])
            current.append(known)
        for gone in self._table.seen(current):
            self._close(gone)
        for gone in self._table.drop_idle(max(0, len(self._table) - 2 * self._most_requests)):
            self._close(gone)
        return {i: known.kept for i, known in zip(wanted, current, strict=True)}

    def _begin(self, row: Ids, fresh: int) -> Known:
        """A new request: a prompt, and the ids that were emitted after it."""
        ids = row.tolist()
        prompt = max(0, len(ids) - fresh)
        view_ids, shared = self._opening(ids[:prompt])
        session = self._bridge.session(view_ids, shared)
        session.commit(ids[prompt:], [])
        model = self._batch.add()
        view = DraftState(model, session.view(), lambda logits: logits)
        known = Known(_Request(session, view, model))
        known.extend(row)
        return known

    def _advance(self, known: Known, row: Ids) -> None:
        request: _Request = known.kept
        # None where a row was read twice: what was drafted after it goes all the same.
        new = row[len(known.ids) :]
        listed = new.tolist()
        if known.idle:  # preempted: nobody looked at its last proposal
            request.proposed = []
        self.counts.accepted += _agreed(listed, request.proposed)
        request.proposed = []
        _, _, keep, append = request.session.commit(listed, request.drawn)
        request.drawn = []
        request.view.splice(keep, append)
        known.extend(new)

    def _close(self, known: Known) -> None:
        self._batch.close(known.kept.model.row)

    def _draw(self, requests: Sequence[_Request]) -> list[list[int]]:
        """Greedy draft tokens for all requests, a pass of the draft a step, or several from one pass."""
        began = time.perf_counter()
        steps = max((self._steps(request) for request in requests), default=0)
        pending, open_requests = [], []
        for request in requests:
            unfed = request.view.begin(steps)
            if unfed is not None:
                pending.append(unfed)
                open_requests.append(request)
        drawn: list[Tensor] = []
        views, left = [request.view for request in open_requests], steps if open_requests else 0
        while left > 0:
            masks = views[0].masks[: left - 1]
            logits = look_ahead(views, pending, [masks] * len(views))
            rows = torch.stack(logits)[..., : len(self._barred)]
            best = rows.masked_fill(self._barred, -torch.inf).argmax(-1)
            drawn.append(best)
            pending, left = list(best), left - best.shape[1]
        columns: list[list[int]] = torch.cat(drawn, 1).tolist() if drawn else []
        found = {id(request): ids for request, ids in zip(open_requests, columns, strict=True)}
        self.counts.draft_seconds += time.perf_counter() - began
        return [found.get(id(request), []) for request in requests]

    def _steps(self, request: _Request) -> int:
        """Draft tokens that make about the number of target tokens wanted."""
        ratio = request.drafted / request.translated if request.translated >= 16 else 1.0
        return max(1, round(self._most_tokens * min(2.0, max(0.5, ratio))))

    def _translate(self, request: _Request, ids: list[int], most: int) -> list[int]:
        if not ids:
            return []
        proposed = request.session.propose(ids)
        request.drawn = ids
        request.view.drew(ids)
        request.drafted += len(ids)
        request.translated += len(proposed)
        request.proposed = proposed[:most]
        self.counts.proposed += len(request.proposed)
        return request.proposed


def _agreed(ids: Sequence[int], proposed: Sequence[int]) -> int:
    """How many of the ids are what was proposed, from the first on."""
    pairs = zip(ids, proposed, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(ids), len(proposed)))


def _goes_on(known: Known | None, row: Ids) -> bool:
    """Whether a row has what one round makes of its last proposal: some of it, and one token more.

    Not so a new request, one that was preempted, and a text to which somebody else has added.
    """
    if known is None or known.idle:
        return False
    new = row[len(known.ids) :].tolist()
    return 0 < len(new) <= _agreed(new, known.kept.proposed) + 1
