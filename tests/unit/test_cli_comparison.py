"""What the demo says of its figures."""

from __future__ import annotations

from rich.console import Console

from anydraft.cli.comparison import Decode, Three, gain, noise, round_costs, summary, where_from
from anydraft.decoding.stats import Stats


def stats(**counts: float) -> Stats:
    return Stats(**{"accepted": 4, "looked_up": 1, "recovered": 2, "bonus": 4, "target_passes": 5, **counts})  # type: ignore[arg-type]


def three(plain: float = 10.0, alone: float = 8.0, drafted: float = 4.0, *, second: float = 1.0) -> Three:
    ids = list(range(10))
    own = Stats(bonus=10, target_passes=10)
    found = stats(proposed=6, draft_passes=6, draft_seconds=0.8, target_seconds=3.2)
    return Three(
        [Decode(ids, plain), Decode(ids, plain * second)],
        [Decode(ids, alone, own), Decode(ids, alone, own)],
        [Decode(ids, drafted, found), Decode(ids, drafted, found)],
    )


def test_where_the_tokens_come_from() -> None:
    said = where_from(stats())
    assert said == (
        "Of 10 tokens: 3 drafted and accepted, 1 found in the text before (no draft pass), 2 drawn by the "
        "target in place of a rejected one, 4 the target's own."
    )


def test_each_parts_gain_is_apart() -> None:
    assert gain(three()) == "Our passes alone: 1.25x; drafting on top of them: 2.00x."
    assert gain(three(drafted=16.0)).endswith("0.50x. The draft cost more than it brought here.")
    nothing = Three(three().plain, three().alone, three().alone)
    assert gain(nothing).endswith("Nothing was drafted: auto found no length that pays.")


def test_a_round_is_counted_in_passes_of_our_own_loop() -> None:
    assert round_costs(three()) == [
        "A round took 1.2 draft passes of 0.17 and a target pass of 0.80, counted in passes of our loop "
        "alone: 1.00 for 2.00 tokens."
    ]
    assert round_costs(Three(three().plain, three().alone, three().alone)) == []


def test_a_disturbed_run_is_called_one() -> None:
    assert noise(three()) == []
    (said,) = noise(three(second=1.4))
    assert "differ by 40%" in said


def test_the_table_fits_into_80_columns() -> None:
    out = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    out.print(summary(three(), method="pushforward", sampled=True))
    lines = out.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("1.25x, 1.25x" in line for line in lines)
    assert "same law" in "".join(lines)
