"""The kit finds every planted fault, quickly, and says where in bytes."""

from __future__ import annotations

import pytest

import faults
from anydraft.testing import LAWS, PAIR_LAWS, LawBrokenError, law

MOST = 3000
"""Attempts that finding a fault may take, the shrinking included."""


@pytest.mark.parametrize("name", faults.FAULTS)
def test_the_fault_is_found(name: str) -> None:
    fault = faults.FAULTS[name]
    broken = law(fault.law)
    attempts: list[int] = []
    verdict = broken.judge(broken.make(fault.make()), report=attempts.append)
    assert fault.said in str(verdict.violation), str(verdict.violation)
    assert len(attempts) <= MOST


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("name", faults.FAULTS)
@pytest.mark.sweep
def test_the_fault_is_found_with_any_seed(name: str, seed: int) -> None:
    fault = faults.FAULTS[name]
    with pytest.raises(LawBrokenError):
        law(fault.law).check(fault.make(), seed=seed)


@pytest.mark.parametrize("one", LAWS, ids=str)
@pytest.mark.parametrize("base", ["sound", "fallback", "digits"])
def test_without_the_fault_nothing_is_found(base: str, one: object) -> None:
    subject = getattr(faults, base)()
    if base == "digits":
        subject = subject.allow("replaced-surrogates")
    if base == "sound":
        subject = subject.allow("held-back-end")
    one.check(subject, examples=15)


@pytest.mark.parametrize("one", PAIR_LAWS, ids=str)
def test_without_the_fault_nothing_is_found_in_a_pair(one: object) -> None:
    one.check(faults.pair(), examples=15)


def test_every_law_finds_a_fault() -> None:
    assert {fault.law for fault in faults.FAULTS.values()} == {str(one) for one in [*LAWS, *PAIR_LAWS]}
