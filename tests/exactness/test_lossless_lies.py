"""A draft that lies as far as the interface lets it cannot change the law of what is said.

A draft says numbers after the tokens that it is shown, keeps a cache of its own, and is shown a text. Each
lie here is told through the shipped loop, whose outcomes are all walked.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from anydraft.errors import ArgumentError
from anydraft.proposers.slrs.proposer import ClassCoupling
from anydraft.proposers.slrs.tables import ClassTables
from enumeration import World
from loop_world import LoopWorld
from placed import DEVICE, DEVICES
from toys import PAIRS

EXACT = 1e-12
CAUGHT = 4e-3


@dataclasses.dataclass
class Heard:
    """What a liar knows when it speaks."""

    call: int
    """The number of its calls in this decode, from 1."""
    token: int
    """The last token that it was shown."""
    truth: Tensor
    """What an honest draft would say: ``[1, n, D]``."""


def random(heard: Heard) -> Tensor:
    """Other numbers at every call, whatever it was shown."""
    chance = torch.Generator().manual_seed(heard.call)
    return torch.randn(heard.truth.shape, generator=chance, dtype=heard.truth.dtype).mul(4).to(DEVICE)


def sure(heard: Heard) -> Tensor:
    """Certain of one token, and of another one at the next call."""
    said = torch.full_like(heard.truth, -torch.inf)
    said[..., heard.call % said.shape[-1]] = 0.0
    return said


def contrary(heard: Heard) -> Tensor:
    """What is likely is said to be unlikely."""
    return -heard.truth


def partly_nan(heard: Heard) -> Tensor:
    """NaN after one token that it may have drawn itself."""
    return heard.truth * torch.nan if heard.token == 0 else heard.truth


def one_nan(heard: Heard) -> Tensor:
    """NaN in one place."""
    return heard.truth.index_fill(-1, torch.tensor([1], device=DEVICE), torch.nan)


def infinite(heard: Heard) -> Tensor:
    """Plus infinity in one place."""
    return heard.truth.index_fill(-1, torch.tensor([heard.call % 2], device=DEVICE), torch.inf)


def nothing_possible(heard: Heard) -> Tensor:
    """Minus infinity everywhere."""
    return torch.full_like(heard.truth, -torch.inf)


def huge(heard: Heard) -> Tensor:
    """Numbers whose exponentials are none."""
    return heard.truth * 1e305


def wider(heard: Heard) -> Tensor:
    """More columns after one token."""
    return torch.cat([heard.truth] * (1 + (heard.token == 0)), -1)


def narrower(heard: Heard) -> Tensor:
    """Fewer columns after one token."""
    return heard.truth[..., : -1 if heard.token == 1 else None]


def no_rows(heard: Heard) -> Tensor:
    """Nothing at all after one token."""
    return heard.truth[:, : 0 if heard.token == 0 else None]


def integers(heard: Heard) -> Tensor:
    """Whole numbers, in which nothing is impossible."""
    return heard.truth.long() if heard.token == 0 else heard.truth


def coarse(heard: Heard) -> Tensor:
    """Another precision at every call."""
    return heard.truth.to([torch.float32, torch.bfloat16, torch.float64][heard.call % 3])


def no_tensor(heard: Heard) -> Any:
    """No tensor."""
    return None if heard.token == 0 else heard.truth


LIES: list[Callable[[Heard], Any]] = [
    *(random, sure, contrary, huge, coarse, partly_nan, one_nan, infinite, nothing_possible, wider, narrower),
    *(no_rows, integers, no_tensor),
]
QUIET = {random, sure, contrary, huge, coarse}
"""Lies that nobody can notice; after the others the draft is dropped, and the event says why."""


class Liar:
    """A draft's decoder that says what it likes."""

    def __init__(self, honest: Any, lie: Callable[[Heard], Any]) -> None:
        self._honest, self._lie, self._calls = honest, lie, 0

    def __call__(self, *given: Any, **options: Any) -> Any:
        output = self._honest(*given, **options)
        self._calls += 1
        heard = Heard(self._calls, int(options["input_ids"][0, -1]), output.logits)
        return SimpleNamespace(logits=self._lie(heard), past_key_values=output.past_key_values)


def with_draft(world: LoopWorld, change: Callable[[Any], Any]) -> LoopWorld:
    """The world with another draft in every decode."""
    make = world.pair.engine.sequences

    def sequences() -> tuple[Any, Any]:
        target, draft = make()
        return target, change(draft)

    world.pair.engine.sequences = sequences  # type: ignore[method-assign]
    return world


def lying(lie: Callable[[Heard], Any]) -> Callable[[Any], Any]:
    def change(draft: Any) -> Any:
        draft.runner = Liar(draft.runner, lie)
        return draft

    return change


def world(method: str) -> LoopWorld:
    return LoopWorld(method=method, draft=("ba",) if method == "pushforward" else ())


def told(lie: Callable[[Heard], Any], method: str) -> None:
    walked = with_draft(world(method), lying(lie))
    assert walked.distance(3) <= EXACT
    assert (walked.failures > 0) == (lie not in QUIET)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_what_a_draft_says(lie: Callable[[Heard], Any]) -> None:
    told(lie, "tli")


@pytest.mark.sweep
@pytest.mark.parametrize("method", ["pushforward", "slrs", "slem"])
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_what_a_draft_says_to_other_methods(lie: Callable[[Heard], Any], method: str) -> None:
    told(lie, method)


class Forgetting:
    """A draft whose cache is not what it says: ``change`` is put in place of a method or a property."""

    def __init__(self, honest: Any, name: str, change: Any) -> None:
        self.__dict__.update(_honest=honest, _name=name, _change=change, _calls=0)

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            self.__dict__["_calls"] += 1
            return self._change(self._honest, self._calls)
        return getattr(self._honest, name)


def raising(*_: Any) -> Any:
    raise RuntimeError("no such page")


CACHES: dict[str, tuple[str, Callable[[Any, int], Any]]] = {
    "never takes back": ("crop", lambda draft, call: lambda length: None),
    "takes too much back": ("crop", lambda draft, call: lambda length: draft.crop(max(length - call % 3, 0))),
    "fails to take back": ("crop", lambda draft, call: raising),
    "fails to settle": ("settle", lambda draft, call: raising),
    "says it has read more": ("length", lambda draft, call: draft.length + call % 2),
    "says it has read nothing": ("length", lambda draft, call: 0),
    "says it has read less than nothing": ("length", lambda draft, call: -1),
    "has another window each time": ("window", lambda draft, call: 1 + call % 3),
}


@pytest.mark.parametrize("method", ["tli", "slrs"])
@pytest.mark.parametrize("lie", CACHES)
def test_what_a_draft_says_of_its_cache(lie: str, method: str) -> None:
    walked = with_draft(world(method), lambda draft: Forgetting(draft, *CACHES[lie]))
    assert walked.distance(3 if method == "tli" else 2) <= EXACT


@pytest.mark.parametrize("shown", [[], [0] * 40, [1, 0, 0, 1]], ids=["nothing", "too much", "another text"])
def test_a_draft_that_is_shown_another_text(shown: list[int]) -> None:
    """What a hostile chat template of the draft can do."""
    walked = world("tli")
    plain = walked.pair.engine.plain_prompt
    walked.pair.engine.plain_prompt = (  # type: ignore[method-assign]
        lambda *given: plain(*given)._replace(view=list(shown))
    )
    assert walked.distance(3) <= EXACT


def test_a_lie_that_the_interface_does_not_let_through_is_caught() -> None:
    """The walk can tell: a draft that changes the ids that it is shown, in place, is more than a draft."""

    def change(draft: Any) -> Any:
        honest = draft.runner

        def runner(*given: Any, **options: Any) -> Any:
            output = honest(*given, **options)
            options["input_ids"].fill_(0)
            return output

        draft.runner = runner
        return draft

    assert with_draft(world("tli"), change).distance(3) > CAUGHT


# A bridge from somebody else: tables of class coupling that say what they like.


def other_tables(tables: ClassTables, chance: Random) -> ClassTables:
    """The same with another entry, of one kind or another, that is a token of the right side and class."""
    told = {field.name: getattr(tables, field.name).clone() for field in dataclasses.fields(tables)}
    targets, drafts = len(tables.class_of), len(tables.image)
    merges = dict(zip(tables.merge_keys.tolist(), tables.merge_ids.tolist(), strict=True))
    token, draft = chance.randrange(targets), chance.randrange(drafts)
    kind = chance.choice(["class", "crossing", "merge"])
    told["class_of"][token] = draft
    if kind == "crossing":
        told["crossing"][draft] = token
    if kind == "merge":
        merges[draft * drafts + chance.randrange(drafts)] = token
        told["merge_keys"] = torch.tensor(sorted(merges))
        told["merge_ids"] = torch.tensor([merges[key] for key in sorted(merges)])
    return ClassTables(**told)


def distances(count: int) -> list[float]:
    """How far such tables lead from the target's law, of those that are not refused."""
    chance, found = Random(0), []
    while len(found) < count:
        pair = chance.choice(PAIRS)
        with contextlib.suppress(ArgumentError):
            strategy = ClassCoupling(
                other_tables(pair.tables, chance),
                len(pair.target),
                rule=chance.choice(["token", "block"]),
                **DEVICES,
            )
            found.append(World(pair, strategy, chance.randrange(5)).distance(2, 2))
    return found


def test_tables_that_lie_are_refused_or_change_nothing() -> None:
    assert max(distances(60)) <= EXACT


def test_tables_that_contradict_each_other_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anydraft.proposers.slrs.tables.contradiction", lambda *_: None)
    assert max(distances(60)) > CAUGHT
