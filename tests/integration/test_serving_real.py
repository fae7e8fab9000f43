"""SmolLM2 with the packaged draft behind the server: eight chats at once say what each says alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import anydraft
import real
import real_pair
from served import Served, served

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not real.installed("smollm2"), reason="no packaged model"),
]
ASKED = [
    "Name three colours.",
    "Write a Python function that adds two numbers.",
    "What is the capital of France?",
    "Count to ten.",
    "Écris une phrase sur la mer.",
    "Explain gravity in one sentence.",
    "Write a haiku.",
    "Repeat: one two three one two three.",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    draft, tokenizer = anydraft.drafts.load("tiny")
    target = real_pair.model("smollm2"), draft, real_pair.tokenizer("smollm2"), tokenizer
    with served(anydraft.Speculator(*target)) as running:
        yield running


def say(server: Served, text: str, **options: Any) -> Any:
    asked: Any = [{"role": "user", "content": text}]
    create: Any = server.client().chat.completions.create
    return create(model="model", messages=asked, **{"max_tokens": 24, "temperature": 0, **options})


def test_eight_chats_at_once_say_what_each_says_alone(server: Served) -> None:
    plain = {"extra_body": {"anydraft": {"method": "none"}}}
    alone = [say(server, text, **plain).choices[0].message.content for text in ASKED]
    with ThreadPoolExecutor(len(ASKED)) as threads:
        together = list(threads.map(lambda text: say(server, text), ASKED))
        forced = list(
            threads.map(lambda text: say(server, text, extra_body={"anydraft": {"method": "slem"}}), ASKED)
        )
    assert [answer.choices[0].message.content for answer in together] == alone
    assert [answer.choices[0].message.content for answer in forced] == alone
    assert len(set(alone)) == len(ASKED)


def test_a_seed_repeats_in_company(server: Served) -> None:
    sampled = {"temperature": 0.8, "top_p": 0.95, "seed": 3}
    alone = say(server, ASKED[0], **sampled).choices[0].message.content
    with ThreadPoolExecutor(4) as threads:
        others = [threads.submit(say, server, text, temperature=1.0) for text in ASKED[1:4]]
        assert say(server, ASKED[0], **sampled).choices[0].message.content == alone
        assert all(other.result().choices[0].message.content for other in others)
