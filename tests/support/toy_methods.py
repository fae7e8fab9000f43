"""Every drafting method, made for a toy pair."""

from __future__ import annotations

from collections.abc import Callable

import torch

from anydraft.proposers.base import Strategy
from anydraft.proposers.pushforward import Pushforward
from anydraft.proposers.slem import StringLevelExactMatch
from anydraft.proposers.slrs.proposer import ClassCoupling
from anydraft.proposers.tli import TokenLevelIntersection
from anydraft.sampling.rejection import Rule
from placed import DEVICE, DEVICES
from toys import ToyPair

Make = Callable[[ToyPair, int, Rule], Strategy]
"""From a pair, the target's number of logits and a rule to a strategy."""


def token_level(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return TokenLevelIntersection(pair.table, rule=rule, **DEVICES)


def string_level(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return StringLevelExactMatch(torch.ones(len(pair.draft), dtype=torch.bool), draft_device=DEVICE)


def pushforward(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return Pushforward(pair.tables.offsets, pair.tables.ids, rule=rule, **DEVICES)


def pushforward_on_some(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    allowed = (pair.table >= 0) | (torch.arange(len(pair.draft)) % 2 == 0)
    return Pushforward(pair.tables.offsets, pair.tables.ids, allowed=allowed, rule=rule, **DEVICES)


def classes(pair: ToyPair, width: int, rule: Rule) -> Strategy:
    return ClassCoupling(pair.tables, width, rule=rule, **DEVICES)


METHODS: list[tuple[Make, Rule]] = [
    (token_level, "token"),
    (token_level, "block"),
    (string_level, "token"),
    (pushforward, "token"),
    (pushforward, "block"),
    (pushforward_on_some, "token"),
    (classes, "token"),
    (classes, "block"),
]
NAMES = [f"{make.__name__}-{rule}" for make, rule in METHODS]
