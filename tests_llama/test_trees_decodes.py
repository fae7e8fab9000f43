"""Decodes with trees whose target llama.cpp runs: the output has the law of its own logits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import anydraft
from anydraft.models.llama_cpp.sequences import LlamaCppModel
from anydraft.models.llama_cpp.shares import Share
from anydraft.models.llama_cpp.source import LlamaCppSource
from anydraft.models.logits import processed_law
from enumeration import EnumeratingRandomness, branches
from files import alone, opened
from real_pair import PROMPTS
from trees_grown import Beside


@cache
def shared() -> Any:
    return opened()


def speculator(**options: Any) -> anydraft.Speculator:
    draft, tokenizer = anydraft.drafts.load("tiny")
    given = {"method": "slem", "num_draft_tokens": 4, "memory": "off", **options}
    return anydraft.Speculator(shared(), draft, None, tokenizer, **given)


def test_greedy_is_llama_cpps_own_with_fewer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    trees, lines = speculator(), speculator(tree="off")
    assert trees.engine.sequences()[0].branches  # type: ignore[attr-defined]
    beside = Beside(monkeypatch)
    passes = {"trees": 0, "lines": 0}
    for prompt in (PROMPTS[1], PROMPTS[4]):
        out, plain = (pair.generate(prompt, max_new_tokens=48) for pair in (trees, lines))
        assert out.token_ids == plain.token_ids == alone(trees.engine.models[0], out.prompt_ids, 48)
        for name, each in (("trees", out), ("lines", plain)):
            passes[name] += each.stats.target_passes
            print(
                f"{prompt[:30]!r}, {name}: {len(each.token_ids)} tokens in {each.stats.target_passes} passes"
            )
    assert beside.bent > 0
    assert passes["trees"] < passes["lines"]


def test_a_decode_that_keeps_the_wrong_tokens_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = speculator()
    llama = pair.engine.models[0]
    assert pair.engine.sequences()[0].branches  # type: ignore[attr-defined]
    monkeypatch.setattr(Share, "kept", lambda _, path: (len(path), 0))
    outs = [pair.generate(prompt, max_new_tokens=32) for prompt in PROMPTS[:6]]
    assert any(out.token_ids != alone(llama, out.prompt_ids, 32) for out in outs)


CUT: dict[str, Any] = {"temperature": 1.5, "top_k": 3}


def off_the_law(monkeypatch: pytest.MonkeyPatch, method: Any) -> float:
    """Total variation between the first two tokens that are emitted and llama.cpp alone, by enumeration."""
    pair = speculator(method=method, num_draft_tokens=1)
    ids, caches = pair.engine.prompt("def fib(n):").ids, pair.engine.caches()

    def run(oracle: EnumeratingRandomness) -> tuple[int, ...]:
        monkeypatch.setattr("anydraft.engine.begin.SeededRandomness", lambda *_, **__: oracle)
        out = pair.generate(input_ids=ids, caches=caches, max_new_tokens=2, eos_token_id=[0], **CUT)
        return tuple(out.token_ids)

    found: dict[tuple[int, ...], float] = defaultdict(float)
    for oracle, said in branches(run):
        found[said] += oracle.probability
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-5)
    theirs, law = opened(logits_all=True), processed_law(**CUT)
    expected: dict[tuple[int, ...], float] = {}
    for first, p in enumerate(law_of(theirs, ids, law)):
        if p > 0:
            seconds = law_of(theirs, [*ids, first], law)
            expected |= {(first, i): p * q for i, q in enumerate(seconds) if q > 0}
    return 0.5 * sum(abs(found.get(key, 0.0) - expected.get(key, 0.0)) for key in {*found, *expected})


def law_of(llama: Any, ids: list[int], law: Any) -> list[float]:
    llama.reset()
    llama.eval(ids)
    logits = torch.from_numpy(llama.scores[len(ids) - 1 : len(ids)].copy())
    return list(law.without_prefix(logits)[0].double().tolist())


@pytest.mark.parametrize("method", ["slem", "slrs"])
def test_samples_with_trees_have_the_law_of_llama_cpps_own_logits(
    method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    LlamaCppSource(shared()).reads_trees()  # the trial is not counted
    beside = Beside(monkeypatch)
    assert off_the_law(monkeypatch, method) < 1e-5
    assert beside.bent > 0


def test_logits_of_the_wrong_places_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    read = LlamaCppModel.branch

    def shifted(model: LlamaCppModel, ids: Tensor, parents: Sequence[int]) -> Tensor:
        logits = read(model, ids, parents)
        return torch.cat((logits[:1], logits[1:].roll(1, 0)))

    monkeypatch.setattr(LlamaCppModel, "branch", shifted)
    assert off_the_law(monkeypatch, "slem") > 1e-3
