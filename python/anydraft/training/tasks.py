"""What a target is asked for when text is drawn from it: templates times subjects, in a fixed order.

Every tenth subject is held out: no prompt that is made for training has it, and all that are made for
measuring are about these alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from anydraft.training import subjects

Kind = Literal["code", "prose"]

HELD_OUT = 10
"""One subject in so many is kept for measuring."""


@dataclass(frozen=True)
class Task:
    """One prompt."""

    kind: Kind
    chat: bool
    """Whether it is a user's message, rather than a text to be continued."""
    text: str


def training_tasks(count: int, seed: int, prefixes: Sequence[str] = ()) -> list[Task]:
    """``count`` prompts without repeats, code and prose in turn; fewer if there are no more.

    ``prefixes``: beginnings of texts of the user's own; one prompt in nine is such a one.
    """
    order = random.Random(seed)
    made = _all(held_out=False)
    own = [Task(_kind_of(text), chat=False, text=text) for text in dict.fromkeys(prefixes)]
    code, prose = ([task for task in made if task.kind == kind] for kind in ("code", "prose"))
    for tasks in (code, prose, own):
        order.shuffle(tasks)
    turns = code, prose, code, prose, code, prose, code, prose, own
    mixed: list[Task] = []
    while any(turns) and len(mixed) < count:
        mixed += [tasks.pop() for tasks in turns if tasks]
    return mixed[:count]


def held_out_tasks(count: int, seed: int, kind: Kind) -> list[Task]:
    """``count`` prompts on subjects that no training prompt is about, chats and plain ones in turn."""
    made = [task for task in _all(held_out=True) if task.kind == kind]
    random.Random(seed).shuffle(made)
    sides = [[task for task in made if task.chat is chat] for chat in (True, False)]
    return [sides[i % 2][i // 2] for i in range(count)]


def _all(*, held_out: bool) -> list[Task]:
    def part(values: Sequence[str]) -> list[str]:
        return [value for i, value in enumerate(values) if (i % HELD_OUT == 0) is held_out]

    sources: list[tuple[Kind, bool, Sequence[str], Sequence[str]]] = [
        ("prose", True, subjects.PROSE_CHATS, subjects.TOPICS),
        ("prose", False, subjects.PROSE_OPENINGS, subjects.TOPICS),
        ("code", True, subjects.CODE_CHATS, subjects.CODE_TASKS),
        ("code", False, subjects.CODE_OPENINGS, subjects.CODE_TASKS),
        ("code", False, subjects.CLASS_OPENINGS, subjects.CLASSES),
    ]
    found = {
        Task(kind, chat, _filled(template, value))
        for kind, chat, templates, values in sources
        for template in templates
        for value in part(values)
    }
    return sorted(found, key=lambda task: (task.kind, task.chat, task.text))


def _filled(template: str, value: str) -> str:
    """``{}`` is the subject, ``{name}`` a function's name made of it, ``{Value}`` it as a heading."""
    words = "".join(c if c.isalnum() else " " for c in value.lower()).split()
    skipped = {"a", "an", "the", "of", "in", "with", "and", "to", "that", "is", "its", "for", "whether"}
    name = "_".join([word for word in words if word not in skipped][:4])
    return (
        template.replace("{name}", name)
        .replace("{Value}", value[:1].upper() + value[1:])
        .replace("{}", value)
    )


def _kind_of(text: str) -> Kind:
    marks = ("def ", "class ", "import ", "return ", "self.", " = ", "):\n")
    return "code" if sum(mark in text for mark in marks) >= 2 else "prose"
