"""The helper of the tests that plant interrupts."""

from __future__ import annotations

import threading

from anydraft.models.fast import twin
from locks import release_all


def test_a_lock_that_was_left_taken_is_let_go() -> None:
    assert release_all() == 0
    for _ in range(2):  # as an interrupt leaves it that comes before the release
        twin._lock.acquire()
    assert release_all() == 2
    free: list[bool] = []
    other = threading.Thread(target=lambda: free.append(twin._lock.acquire(blocking=False)))
    other.start()
    other.join()
    assert free == [True]
