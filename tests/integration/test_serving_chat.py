"""OpenAI's own client against ``anydraft serve``: chats, texts, streams, stops, lengths, seeds, methods."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import anydraft
import small
import trained
from chat_templates import TEMPLATES
from served import Served, counted, served

LINES = ["The quick", "Ça va", "12345 67", "def fib(n):", "The dog", "Été, hiver", "return", "  if n < 2:"]


def pair(**options: Any) -> anydraft.Speculator:
    """A trained pair whose sides have different chat templates."""
    target, draft, *tokenizers = trained.pair()
    tokenizers = [copy.deepcopy(tokenizer) for tokenizer in tokenizers]
    for tokenizer, template in zip(tokenizers, TEMPLATES, strict=True):
        tokenizer.chat_template = template
    options.setdefault("num_draft_tokens", 5)
    return anydraft.Speculator(target, draft, *tokenizers, memory="off", **options)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served(pair()) as running:
        yield running


def messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


def say(server: Served, text: str, **options: Any) -> Any:
    options = {"temperature": 0, "max_tokens": 24, **options}
    return server.client().chat.completions.create(model="model", messages=messages(text), **options)


def parts(server: Served, text: str, **options: Any) -> list[Any]:
    return list(say(server, text, stream=True, **options))


def written(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_chat_says_what_the_pair_says(server: Served) -> None:
    wanted = pair().generate(messages=messages("The quick"), max_new_tokens=24)
    answer = say(server, "The quick")
    assert answer.choices[0].message.content == wanted.text
    assert answer.choices[0].message.role == "assistant"
    assert answer.usage.prompt_tokens == len(wanted.prompt_ids)
    assert answer.usage.completion_tokens == len(wanted.token_ids)
    assert answer.choices[0].finish_reason == ("length" if wanted.finish_reason == "length" else "stop")
    assert answer.anydraft["accepted"] == wanted.stats.accepted > 0
    assert answer.anydraft["target_passes"] == wanted.stats.target_passes
    assert answer.anydraft["method"] == "slem"


def test_a_stream_is_the_same_in_parts(server: Served) -> None:
    whole, chunks = say(server, "The quick"), parts(server, "The quick")
    assert written(chunks) == whole.choices[0].message.content
    assert len(chunks) > 3
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].anydraft["accepted"] == whole.anydraft["accepted"]
    assert {chunk.usage for chunk in chunks} == {None}
    assert len({chunk.id for chunk in chunks}) == 1


def test_usage_comes_last_where_it_is_asked_for(server: Served) -> None:
    *chunks, last = parts(server, "The quick", stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage == say(server, "The quick").usage
    assert written(chunks) == say(server, "The quick").choices[0].message.content


def test_a_text_is_continued(server: Served) -> None:
    wanted = pair().generate("The quick", max_new_tokens=16)
    create: Any = server.client().completions.create
    answer = create(model="model", prompt="The quick", temperature=0)
    assert answer.choices[0].text == wanted.text
    assert create(model="model", prompt=wanted.prompt_ids, temperature=0).choices[0].text == wanted.text
    chunks = list(create(model="model", prompt="The quick", temperature=0, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == wanted.text


def test_eight_chats_at_once_say_what_each_says_alone(server: Served) -> None:
    alone = [say(server, line).choices[0].message.content for line in LINES]
    with ThreadPoolExecutor(len(LINES)) as threads:
        for _ in range(2):
            assert list(threads.map(lambda line: written(parts(server, line)), LINES)) == alone
    assert len(set(alone)) > 4


def test_a_seed_repeats_a_sample_whoever_else_is_there(server: Served) -> None:
    sampled = {"temperature": 0.9, "top_p": 0.95, "max_tokens": 24}
    made = pair(tree="off")  # as the server drafts with a seed, whoever else is there
    wanted = made.generate(
        messages=messages("The quick"), max_new_tokens=24, temperature=0.9, top_p=0.95, seed=5
    )
    alone = say(server, "The quick", seed=5, **sampled)
    assert alone.choices[0].message.content == wanted.text
    with ThreadPoolExecutor(8) as threads:
        others = [threads.submit(say, server, line, **sampled) for line in LINES[1:]]
        for _ in range(3):
            again = say(server, "The quick", seed=5, **sampled)
            assert again.choices[0].message.content == wanted.text
        said = {other.result().choices[0].message.content for other in others}
    assert len(said) > 1
    assert say(server, "The quick", seed=6, **sampled).choices[0].message.content != wanted.text


@pytest.mark.parametrize("method", ["none", "slem", "tli", "pushforward", "slrs", "lookup", "auto"])
def test_a_request_may_name_its_method(server: Served, method: str) -> None:
    wanted = say(server, "The quick").choices[0].message.content
    with ThreadPoolExecutor(2) as threads:
        other = threads.submit(say, server, "Ça va")
        answer = say(server, "The quick", extra_body={"anydraft": {"method": method}})
        assert answer.choices[0].message.content == wanted
        assert other.result().anydraft["accepted"] > 0
    assert (answer.anydraft["proposed"] == 0) == (method in ("none", "lookup"))
    if method in ("slem", "tli", "pushforward", "slrs"):
        assert answer.anydraft["method"] == method


def test_a_stop_string_ends_the_text_and_is_left_out(server: Served) -> None:
    whole = say(server, "The quick").choices[0].message.content
    stop = whole[5:9]
    for answer in (
        say(server, "The quick", stop=stop),
        say(server, "The quick", stop=["not there", stop]),
    ):
        assert answer.choices[0].message.content == whole[: whole.find(stop)]
        assert answer.choices[0].finish_reason == "stop"
    assert written(parts(server, "The quick", stop=stop)) == whole[: whole.find(stop)]
    assert say(server, "The quick", stop="not there").choices[0].message.content == whole


def test_a_stop_string_that_ends_with_the_last_token_is_left_out_too(server: Served) -> None:
    whole = say(server, "The quick").choices[0].message.content
    once = next(n for n in range(1, len(whole)) if whole.find(whole[-n:]) == len(whole) - n)
    answer = say(server, "The quick", stop=whole[-once:])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == whole[:-once]


def test_a_stop_string_of_the_prompt_does_not_count(server: Served) -> None:
    create: Any = server.client().completions.create
    whole = create(model="model", prompt="The quick", temperature=0).choices[0].text
    border = "k" + whole[0]
    if border in whole:
        pytest.fail("choose another prompt")
    answer = create(model="model", prompt="The quick", temperature=0, stop=border)
    assert answer.choices[0].text == whole


def test_an_answer_without_a_length_ends_with_the_window(server: Served) -> None:
    answer = server.client().chat.completions.create(
        model="model", messages=messages(small.TEXT[:500]), temperature=0, extra_body={"min_tokens": 512}
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 512


def test_models_health_and_metrics(server: Served) -> None:
    assert [model.id for model in server.client().models.list()] == ["model"]
    assert server.client().models.retrieve("model").owned_by == "anydraft"
    assert server.get("/health") == (200, '{"status": "ok"}')
    before = {name: counted(server, f"anydraft_{name}_total") for name in ("tokens", "accepted", "proposed")}
    answer = say(server, "The quick")
    after = {name: counted(server, f"anydraft_{name}_total") for name in before}
    assert after["tokens"] - before["tokens"] == answer.usage.completion_tokens
    assert after["accepted"] - before["accepted"] == answer.anydraft["accepted"]
    assert after["proposed"] - before["proposed"] == answer.anydraft["proposed"]
    assert counted(server, "anydraft_requests_running") == counted(server, "anydraft_requests_waiting") == 0
