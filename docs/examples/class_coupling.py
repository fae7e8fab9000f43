"""The worked example of docs/class-coupling.md, computed by the code that ships.

Every answer of chance is tried in turn, so the numbers are exact: nothing is sampled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "support"))  # the slow, plain tables

from anydraft.proposers.base import DraftContext, Strategy
from anydraft.proposers.pushforward import Pushforward
from anydraft.proposers.slem import StringLevelExactMatch
from anydraft.proposers.slrs.chain import ClassChain
from anydraft.proposers.slrs.proposer import ClassBlock, ClassCoupling
from anydraft.proposers.slrs.spelling import ClassSpelling
from anydraft.proposers.tli import TokenLevelIntersection
from anydraft.sampling.laws import to_law
from anydraft.sampling.rejection import push
from reference import class_tables

TARGET = ("sun", "sunset", "moon", "set")
DRAFT = ("sun", "set", "moon", "moonset")
P = torch.tensor([0.24, 0.36, 0.30, 0.10], dtype=torch.float64)
"""The target's law of the next token."""
W = torch.tensor([0.50, 0.20, 0.20, 0.10], dtype=torch.float64)
"""The draft's law of its next token."""
R = torch.tensor([0.20, 0.40, 0.30, 0.10], dtype=torch.float64)
"""The draft's law of the token after that."""


def encode(vocabulary: tuple[str, ...], text: str) -> list[int]:
    """A toy tokenizer: the longest token that fits, again and again."""
    ids = []
    while text:
        ids.append(
            max((i for i, s in enumerate(vocabulary) if text.startswith(s)), key=lambda i: len(vocabulary[i]))
        )
        text = text[len(vocabulary[ids[-1]]) :]
    return ids


TABLES = class_tables(
    [text.encode() for text in TARGET],
    [text.encode() for text in DRAFT],
    lambda text: encode(TARGET, text.decode()),
    lambda text: encode(DRAFT, text.decode()),
)


class ToyDraft:
    """A draft model: law ``W`` after the prompt's one token, ``R`` after one more. Also spells, for slem."""

    vocab_size = len(DRAFT)
    window = None
    device = torch.device("cpu")
    length = 0

    def advance(self, ids: Tensor, keep: int = 1) -> Tensor:
        """Logits ``[1, 4]`` after the context and ``ids``."""
        self.length += len(ids)
        return (W if self.length == 1 else R).log().expand(keep, -1)

    def crop(self, length: int) -> None:
        """Forget what comes after ``length`` tokens."""
        self.length = length

    def propose(self, draft_ids: list[int]) -> list[int]:
        """The target's reading of the drafted text."""
        return encode(TARGET, "".join(DRAFT[d] for d in draft_ids))


class Script:
    """Chance that answers from a script, then always with the first possible answer."""

    def __init__(self, script: list[int]) -> None:
        """``script``: for each choice, which of the possible answers."""
        self.script, self.taken, self.options, self.probability = script, [], [], 1.0
        self.answers: list[int] = []

    def draw(self, law: Tensor) -> Tensor:
        """One draw per row."""
        rows = law.reshape(-1, law.shape[-1]).tolist()
        return torch.tensor([self._answer(row) for row in rows]).view(law.shape[:-1])

    def coins(self, probabilities: Tensor) -> Tensor:
        """One coin per probability."""
        return torch.tensor([self._answer([1 - p, p]) for p in probabilities.tolist()]).bool()

    def _answer(self, law: list[float]) -> int:
        possible = [i for i, p in enumerate(law) if p > 0]
        at = len(self.taken)
        self.taken.append(self.script[at] if at < len(self.script) else 0)
        self.options.append(len(possible))
        self.answers.append(possible[self.taken[at]])
        self.probability *= law[self.answers[at]]
        return self.answers[at]


@dataclass(frozen=True)
class Outcome:
    """One way a round can go."""

    probability: float
    token: int
    """The first target token emitted."""
    accepted: bool
    class_kept: bool
    """Whether the first coin showed heads; in class coupling it is that of the class."""


def one_round(strategy: Strategy, script: Script) -> Outcome:
    """Draft two tokens, verify the first target token."""
    draft = ToyDraft()
    context = DraftContext(
        model=draft,
        pending=torch.tensor([0]),
        law=to_law,
        speller=draft,
        target_device=draft.device,
        target_width=len(TARGET),
        limit=1,
    )
    block = strategy.draft(context, 2, script)
    drawn = len(script.answers)
    accepted, following = strategy.verify(block, P.expand(2, -1), script).tolist()
    token = int(block.candidates[0]) if accepted else following
    return Outcome(script.probability, token, bool(accepted), bool(script.answers[drawn]))


def outcomes(strategy: Strategy) -> Iterator[Outcome]:
    """Every way a round can go."""
    todo: list[list[int]] = [[]]
    while todo:
        script = Script(todo.pop())
        yield one_round(strategy, script)
        for at in range(len(script.script), len(script.taken)):
            todo += [[*script.taken[:at], other] for other in range(1, script.options[at])]


def total(strategy: Strategy, which: Callable[[Outcome], bool]) -> list[float]:
    """Probability of each target token over the outcomes that are wanted."""
    sums = [0.0] * len(TARGET)
    for outcome in outcomes(strategy):
        sums[outcome.token] += outcome.probability * which(outcome)
    return sums


def block_of(*tokens: str) -> ClassBlock:
    """The block of two given draft tokens."""
    script = Script([DRAFT.index(text) for text in tokens])
    context = DraftContext(ToyDraft(), torch.tensor([0]), to_law, ToyDraft(), P.device, len(TARGET), limit=1)
    return COUPLING.draft(context, len(tokens), script)


COUPLING = ClassCoupling(TABLES, len(TARGET))


def class_step() -> tuple[list[float], list[float]]:
    """Target's and draft's law of the classes, by draft token."""
    step = block_of("sun", "set").steps[0]
    size = len(DRAFT)
    return push(P, TABLES.class_of, size).tolist(), push(step.weights, step.labels, size).tolist()


def member_step() -> tuple[list[float], list[float]]:
    """Target's and draft's law of the members of class ``sun``, by target token."""
    step = block_of("sun", "set").steps[1]
    given = P * (TABLES.class_of == step.within)
    return (given / given.sum()).tolist(), push(step.weights, step.labels, len(TARGET)).tolist()


def left_over(kept: int) -> list[float]:
    """What the token is drawn from if that many symbols of the block sun, moon are kept."""
    chain = ClassChain(P.expand(2, -1), block_of("sun", "moon").steps, ClassSpelling(TABLES, len(TARGET)))
    return chain.recover(torch.tensor(kept), torch.ones((), dtype=torch.float64)).tolist()


def ledger() -> dict[str, list[float]]:
    """Where each emitted token comes from, by target token."""
    return {
        "accepted": total(COUPLING, lambda o: o.accepted),
        "class rejected": total(COUPLING, lambda o: not o.class_kept),
        "member rejected": total(COUPLING, lambda o: o.class_kept and not o.accepted),
        "emitted": total(COUPLING, lambda o: True),
    }


def acceptance() -> dict[str, float]:
    """How often each method accepts the first target token."""
    methods: list[Strategy] = [
        StringLevelExactMatch(torch.ones(len(DRAFT), dtype=torch.bool)),
        TokenLevelIntersection(TABLES.image),
        Pushforward(TABLES.offsets, TABLES.ids),
        COUPLING,
    ]
    return {method.name: sum(total(method, lambda o: o.accepted)) for method in methods}


def _row(name: str, *numbers: float) -> str:
    return f"{name:<16}" + "".join(f"{number + 0.0:>17.2f}" for number in numbers)


def _compared(title: str, names: list[str], target: list[float], draft: list[float]) -> str:
    rows = [(p, q, min(p, q), max(p - q, 0.0)) for p, q in zip(target, draft, strict=True)]
    head = f"{title:<16}" + "".join(f"{column:>17}" for column in ("target", "draft", "kept", "left over"))
    lines = [_row(name, *row) for name, row in zip(names, rows, strict=True)]
    return "\n".join([head, *lines, _row("sum", *map(sum, zip(*rows, strict=True)))])


def report() -> str:
    """The tables of the page, one paragraph each."""
    classes = [0, 2, 1]
    ours, theirs = class_step()
    members = [t for t, symbol in enumerate(TABLES.class_of.tolist()) if symbol == 0]
    target, draft = member_step()
    books = ledger()
    return "\n\n".join(
        [
            "\n".join(
                [
                    f"{'target token':<16}{'p':>17}     {'draft token':<16}{'w':>7}{'r':>9}",
                    *(
                        f"{t:<16}{p:>17.2f}     {d:<16}{w:>7.2f}{r:>9.2f}"
                        for t, p, d, w, r in zip(
                            TARGET, P.tolist(), DRAFT, W.tolist(), R.tolist(), strict=True
                        )
                    ),
                ]
            ),
            _compared(
                "class",
                [DRAFT[a] for a in classes],
                [ours[a] for a in classes],
                [theirs[a] for a in classes],
            ),
            _compared(
                "member of sun",
                [TARGET[t] for t in members],
                [target[t] for t in members],
                [draft[t] for t in members],
            ),
            "\n".join(
                [
                    f"{'drawn instead':<16}" + "".join(f"{text:>17}" for text in TARGET),
                    _row("class rejected", *left_over(0)),
                    _row("member rejected", *left_over(1)),
                ]
            ),
            "\n".join(
                [
                    f"{'token':<16}" + "".join(f"{column:>17}" for column in books),
                    *(_row(text, *(column[t] for column in books.values())) for t, text in enumerate(TARGET)),
                    _row("sum", *(sum(column) for column in books.values())),
                ]
            ),
            "\n".join(
                [
                    "first target token accepted",
                    *(f"{name:<16}{a:>17.3f}" for name, a in acceptance().items()),
                ]
            ),
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(report() + "\n")
