"""The page about the server: its examples run against one, and its tables name all there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import small
from anydraft.serving.answers import Answer
from anydraft.serving.fields import IGNORED, NEUTRAL
from anydraft.serving.metrics import COUNTED
from anydraft.serving.requests import ChatRequest, CompletionRequest
from jobs import Asked
from served import served

PAGE = (Path(__file__).parents[2] / "docs/serve.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def named(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    with served(small.speculator()) as server:
        for text in re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE):
            here = text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
            assert here != text or "http" not in text
            exec(compile(here, "serve.md", "exec"), names)
        routes = re.findall(r"`(GET) (/[\w/]+)`", section("Routes"))
        assert len(routes) == 3
        assert [server.get(path)[0] for _, path in routes] == [200] * 3
        shown = set(re.findall(r"`(anydraft_\w+)`", section("Metrics")))
        told = set(re.findall(r"^# TYPE (\w+)", server.get("/metrics")[1], flags=re.MULTILINE))
        assert {name for name in told if not name.endswith("_created")} == shown
        assert {f"anydraft_{name}_total" for name in COUNTED} <= shown
    assert capsys.readouterr().out.endswith("True\n")


def test_every_field_is_on_the_page() -> None:
    table, _, prose = section("What a request may say").partition("Harmless fields")
    fields = {*ChatRequest.model_fields, *CompletionRequest.model_fields}
    rows = {name for line in table.splitlines() for name in named(line.partition("|")[2].partition("|")[0])}
    assert rows == fields
    harmless, _, rest = prose.partition("Fields that")
    assert named(harmless) == IGNORED
    assert named(rest.partition("So do fields")[0]) == set(NEUTRAL)
    one = Asked(pair := small.speculator(), "The quick")
    one.job.open(pair.engine, pair.engine.places())
    assert set(Answer("chat", "m", [one.job]).told()) <= named(rest)


def test_every_status_is_on_the_page() -> None:
    sources = (Path(__file__).parents[2] / "python/anydraft/serving").glob("*.py")
    used = {
        code for path in sources for code in re.findall(r"status=(\d+)", path.read_text(encoding="utf-8"))
    }
    listed = set(
        re.findall(r"\b(\d{3})\b", " ".join(re.findall(r"^\| ([\d, ]+) \|", PAGE, flags=re.MULTILINE)))
    )
    assert used - {"499"} <= listed
