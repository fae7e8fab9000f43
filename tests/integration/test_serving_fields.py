"""Fields of OpenAI's interface: several texts, what the target thought of its tokens, biases, penalties."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

import anydraft
from anydraft.models.penalties import CountPenalty, LogitBias
from served import Served, served
from test_serving_chat import messages, pair, parts, say, written

SAMPLED: dict[str, Any] = {"temperature": 0.9, "top_p": 0.95, "max_tokens": 16}


@pytest.fixture(scope="module")
def made() -> anydraft.Speculator:
    return pair()


@pytest.fixture(scope="module")
def server(made: anydraft.Speculator) -> Iterator[Served]:
    with served(made) as running:
        yield running


def logits_of(made: anydraft.Speculator, ids: list[int]) -> torch.Tensor:
    """The target's own logits ``[n, V]`` after each of the ids, by transformers."""
    model: Any = made.engine.models[0]
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([ids]), use_cache=False).logits[0]
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_several_texts_of_one_prompt(server: Served, stream: bool) -> None:
    alone = [say(server, "The quick", seed=seed, **SAMPLED).choices[0].message.content for seed in (5, 6, 7)]
    assert len(set(alone)) == 3
    if stream:
        chunks = parts(server, "The quick", n=3, seed=5, stream_options={"include_usage": True}, **SAMPLED)
        texts = [
            written([chunk for chunk in chunks if chunk.choices and chunk.choices[0].index == i])
            for i in range(3)
        ]
        ended = [chunk for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
        assert sorted(chunk.choices[0].index for chunk in ended) == [0, 1, 2]
        usage = chunks[-1].usage
    else:
        answer = say(server, "The quick", n=3, seed=5, **SAMPLED)
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        texts, usage = [choice.message.content for choice in answer.choices], answer.usage
        assert answer.anydraft["target_passes"] > 3
    assert texts == alone
    assert usage.prompt_tokens == say(server, "The quick", **SAMPLED).usage.prompt_tokens
    assert usage.completion_tokens <= 48


def test_several_texts_without_a_seed_differ_and_greedy_ones_do_not(server: Served) -> None:
    texts = {choice.message.content for choice in say(server, "The quick", n=6, **SAMPLED).choices}
    assert len(texts) > 1
    texts = {choice.message.content for choice in say(server, "The quick", n=3).choices}
    assert texts == {say(server, "The quick").choices[0].message.content}
    create: Any = server.client().completions.create
    answer = create(model="model", prompt="The quick", n=2, temperature=0)
    assert answer.choices[0].text == answer.choices[1].text


def test_logprobs_are_those_of_the_targets_own_logits(server: Served, made: anydraft.Speculator) -> None:
    """Whatever the request does to them, and whatever was drafted."""
    out = made.generate(messages=messages("The quick"), max_new_tokens=24)
    law = logits_of(made, out.prompt_ids + out.token_ids).log_softmax(-1)[len(out.prompt_ids) - 1 :]
    with ThreadPoolExecutor(2) as threads:
        other = threads.submit(say, server, "Ça va")
        answer = say(server, "The quick", logprobs=True, top_logprobs=3)
        assert other.result().anydraft["accepted"] > 0
    told = answer.choices[0].logprobs.content
    said = [token for token in out.token_ids if token not in made.engine.end_ids]
    assert len(told) == len(said) > 5
    assert answer.anydraft["accepted"] > 0
    assert b"".join(bytes(one.bytes) for one in told).decode() == answer.choices[0].message.content
    for place, (one, token) in enumerate(zip(told, said, strict=True)):
        assert one.logprob == pytest.approx(float(law[place, token]), abs=1e-4)
        assert len(one.top_logprobs) == 3
        wanted = law[place].topk(3).values.tolist()
        assert [top.logprob for top in one.top_logprobs] == pytest.approx(wanted, abs=1e-4)
        assert one.top_logprobs[0].token == one.token  # as it is greedy
    biased = say(server, "The quick", logprobs=True, logit_bias={str(said[0]): -100}, max_tokens=1)
    (first,) = biased.choices[0].logprobs.content
    assert first.token != told[0].token
    runner_up = law[0].topk(2).values[1]
    assert first.logprob == pytest.approx(float(runner_up), abs=1e-4)  # not of the biased law


def test_logprobs_of_a_stream_and_before_a_stop_string(server: Served) -> None:
    whole = say(server, "The quick", logprobs=True)
    told = whole.choices[0].logprobs.content
    chunks = parts(server, "The quick", logprobs=True)
    streamed = [one for c in chunks if c.choices[0].logprobs for one in c.choices[0].logprobs.content]
    assert [(one.token, round(one.logprob, 3)) for one in streamed] == [
        (one.token, round(one.logprob, 3)) for one in told
    ]
    stop = whole.choices[0].message.content[5:9]
    for answer in (
        say(server, "The quick", stop=stop, logprobs=True).choices[0].logprobs.content,
        [
            one
            for c in parts(server, "The quick", stop=stop, logprobs=True)
            if c.choices[0].logprobs
            for one in c.choices[0].logprobs.content
        ],
    ):
        text = b"".join(bytes(one.bytes) for one in answer).decode()
        shown = say(server, "The quick", stop=stop).choices[0].message.content
        assert text.startswith(shown)
        assert len(text) - len(answer[-1].token) < len(shown)  # no token that begins behind it


def test_logprobs_of_a_completion(server: Served) -> None:
    create: Any = server.client().completions.create
    answer = create(model="model", prompt="The quick", temperature=0, logprobs=2, max_tokens=8).choices[0]
    told = answer.logprobs
    assert "".join(told.tokens) == answer.text
    assert told.text_offset == [len("".join(told.tokens[:i])) for i in range(len(told.tokens))]
    assert all(
        top[token] == own == max(top.values())
        for top, token, own in zip(told.top_logprobs, told.tokens, told.token_logprobs, strict=True)
    )
    for stop in (None, answer.text[3:5]):
        asked = {"model": "model", "prompt": "The quick", "temperature": 0, "logprobs": 2, "stop": stop}
        whole = create(**asked, max_tokens=8).choices[0].logprobs
        pieces = [part.choices[0].logprobs for part in create(**asked, max_tokens=8, stream=True)]
        assert [offset for one in pieces if one for offset in one.text_offset] == whole.text_offset
    bare = create(model="model", prompt="The quick", temperature=0, logprobs=0, max_tokens=8)
    assert bare.choices[0].logprobs.top_logprobs is None
    assert bare.choices[0].logprobs.tokens == told.tokens


@pytest.mark.parametrize("fields", [{"presence_penalty": 2}, {"frequency_penalty": 0.8}])
def test_penalties_are_those_of_the_formula(
    server: Served, made: anydraft.Speculator, fields: dict[str, float]
) -> None:
    """Greedily, token by token, from logits of whole passes."""
    ids = made.engine.prompt(messages=messages("The quick")).ids
    said: list[int] = []
    for _ in range(64):
        logits = logits_of(made, ids + said)[-1]
        for token in set(said):
            logits[token] -= fields.get("presence_penalty", 0.0)
            logits[token] -= fields.get("frequency_penalty", 0.0) * said.count(token)
        said.append(int(logits.argmax()))
        if said[-1] in made.engine.end_ids:
            break
    answer = say(server, "The quick", max_tokens=64, **fields)
    assert answer.usage.completion_tokens == len(said)
    text = made.engine.bridge.target.decode(said).decode(errors="replace")
    assert answer.choices[0].message.content == text
    assert text != say(server, "The quick", max_tokens=64).choices[0].message.content
    assert answer.anydraft["accepted"] > 0


def test_a_bias_forbids_and_forces(server: Served, made: anydraft.Speculator) -> None:
    token = made.engine.bridge.target.encode(b"z")[0]  # type: ignore[index]
    answer = say(server, "The quick", logit_bias={str(token): 100}, max_tokens=5)
    assert answer.choices[0].message.content == "zzzzz"
    plain = made.generate(messages=messages("The quick"), max_new_tokens=24).token_ids
    barred = plain[0]
    shunned = say(server, "The quick", logit_bias={str(barred): -100}, logprobs=True, top_logprobs=0)
    names = [one.token for one in shunned.choices[0].logprobs.content]
    assert made.engine.bridge.target.decode([barred]).decode() not in names


def test_the_processors_by_themselves() -> None:
    scores = torch.zeros(2, 4)
    assert LogitBias({1: 2.0, 3: -1.0})(None, scores).tolist() == [[0, 2, 0, -1]] * 2
    ids = torch.tensor([[0, 1, 1], [0, 2, 3]])
    found = CountPenalty(1, 0.5, 0.25)(ids, scores)
    assert found.tolist() == [[0, -1.0, 0, 0], [0, 0, -0.75, -0.75]]
    assert scores.abs().sum() == 0
    assert math.isinf(float(LogitBias({0: 1.0})(None, torch.full((1, 2), -math.inf))[0, 0]))
