"""vLLM with our proposer says what vLLM says without, and accepts more than with its own."""

from __future__ import annotations

import gc
import random
from collections import Counter
from typing import Any

import pytest
import torch
from scipy import stats
from vllm import LLM, EngineArgs, LLMEngine, SamplingParams

from engines import DIRECTIONS, Name, engine_arguments, speculative

TEXTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "def fib(n):\n    if n < 2:\n",
    "import numpy as np\n\ndef mean(values):\n",
    "SELECT name, COUNT(*)\nFROM users\n     WHERE age > 30\n",
    "Le château se trouve près de la rivière, où l'été",
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "Dear Ms. Baker,\n\nThank you for your letter of 12 March.",
]
QUESTIONS = [
    "What is the capital of Italy?",
    "Write a Python function that adds two numbers.",
    "Name three fruits.",
    "Explain in one sentence why the sky is blue.",
]
SAMPLES = 1000
FALSE_ALARM = 1e-3


def free() -> None:
    gc.collect()


class Job:
    """A request: when it arrives, and when its user gives up."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.name = str(number)
        self.text = f"{number}. " + chance.choice(TEXTS)
        self.tokens = chance.randint(3, 40)
        self.arrives = chance.randint(0, 60)
        self.gives_up = self.arrives + chance.randint(2, 10) if number % 8 == 3 else None


def serve(arguments: dict[str, Any]) -> tuple[dict[str, list[int]], int, Any]:
    """Forty requests, staggered, some aborted: the ids of the others, preemptions, our proposer."""
    engine = LLMEngine.from_engine_args(EngineArgs(**arguments))
    chance = random.Random(0)
    jobs, said = [Job(i, chance) for i in range(40)], {}
    step = 0
    while engine.has_unfinished_requests() or any(job.arrives >= step for job in jobs):
        for job in jobs:
            if job.arrives == step:
                engine.add_request(job.name, job.text, SamplingParams(temperature=0, max_tokens=job.tokens))
            if job.gives_up == step:
                engine.abort_request([job.name])
        for output in engine.step():
            if output.finished:
                said[output.request_id] = list(output.outputs[0].token_ids)
        step += 1
    preempted = sum(
        int(metric.value) for metric in engine.get_metrics() if metric.name == "vllm:num_preemptions"
    )
    core = engine.engine_core.engine_core
    runner = core.model_executor.driver_worker.worker.model_runner
    drafter = getattr(getattr(runner, "drafter", None), "drafter", None)
    aborted = {job.name for job in jobs if job.gives_up is not None}
    return {name: ids for name, ids in said.items() if name not in aborted}, preempted, drafter


@pytest.mark.parametrize(("target", "draft"), DIRECTIONS)
def test_forty_requests_with_aborts_and_preemption_are_answered_as_without_speculation(
    folders: dict[str, str], target: Name, draft: Name
) -> None:
    few = {"num_gpu_blocks_override": 10, "block_size": 32}  # too few for eight requests: some are preempted
    plain, _, _ = serve(engine_arguments(folders, target))
    free()
    arguments = engine_arguments(folders, target, **few, **speculative(folders, draft, "ours"))
    ours, preempted, drafter = serve(arguments)
    assert len(plain) >= 35
    assert ours == plain
    assert preempted >= 1
    assert drafter.counts.accepted > 20
    # outside the draft's passes, per request and round; measured on whatever machine this is
    assert drafter.counts.own_seconds / drafter.counts.rounds < 5e-3


def test_samples_have_the_targets_law(folders: dict[str, str]) -> None:
    """Chi-square over the first two tokens, against the target's own probabilities."""
    from anydraft.loading.folders import load_model

    prompt = "The capital of France is Paris. The capital of Germany is Berlin. The best way to"
    arguments = engine_arguments(folders, "smollm2", **speculative(folders, "gemma3", "ours", tokens=2))
    llm = LLM(**{**arguments, "max_num_seqs": 16, "seed": 0})
    [output] = llm.generate(
        [prompt], SamplingParams(temperature=1.0, max_tokens=2, n=SAMPLES, seed=1), use_tqdm=False
    )
    counts = Counter(tuple(o.token_ids) for o in output.outputs)
    ids = torch.tensor([list(output.prompt_token_ids)])
    model = load_model(folders["smollm2"])
    with torch.no_grad():
        first = model(ids).logits[0, -1].softmax(-1)
        likely = first.argsort(descending=True)[:40]
        rows = torch.cat((ids.expand(len(likely), -1), likely[:, None]), 1)
        second = model(rows).logits[:, -1].softmax(-1)
    expected = {
        (int(t), int(u)): float(first[t] * second[i, u])
        for i, t in enumerate(likely)
        for u in second[i].argsort(descending=True)[:40]
        if float(first[t] * second[i, u]) * SAMPLES >= 5
    }
    observed = [counts[pair] for pair in expected]
    rest = SAMPLES - sum(observed)
    shares = [p * SAMPLES for p in expected.values()]
    p_value = stats.chisquare([*observed, rest], [*shares, SAMPLES - sum(shares)]).pvalue
    assert p_value > FALSE_ALARM
    wrong = [observed[0] // 3, *observed[1:], rest + observed[0] - observed[0] // 3]
    assert stats.chisquare(wrong, [*shares, SAMPLES - sum(shares)]).pvalue < FALSE_ALARM


def accepted_per_pass(arguments: dict[str, Any], prompts: list[str]) -> tuple[float, list[list[int]]]:
    """Mean accepted tokens per target pass with proposals, by vLLM's own counters, and what was said."""
    llm = LLM(**arguments)
    outputs = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=48), use_tqdm=False)
    found = {
        m.name: m.value for m in llm.get_metrics() if m.name.startswith("vllm:spec") and hasattr(m, "value")
    }
    accepted, drafts = (found[f"vllm:spec_decode_num_{name}"] for name in ("accepted_tokens", "drafts"))
    return accepted / drafts, [list(output.outputs[0].token_ids) for output in outputs]


@pytest.mark.parametrize(("target", "draft"), DIRECTIONS)
def test_more_is_accepted_than_with_vllms_own_heterogeneous_vocabularies(
    folders: dict[str, str], target: Name, draft: Name, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoTokenizer

    chats = AutoTokenizer.from_pretrained(folders["smollm2"])
    prompts = [
        chats.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False
        )
        if target == "smollm2"
        else f"Question: {question}\nAnswer:"
        for question in QUESTIONS
    ]
    reached = {}
    for how in ("ours", "theirs"):
        arguments = engine_arguments(folders, target, **speculative(folders, draft, how))
        reached[how], said = accepted_per_pass(arguments, prompts)
        reached[f"{how} said"] = said
        free()
    with capsys.disabled():
        print(
            f"\naccepted per pass, {target} <- {draft}: {reached['ours']:.2f}, vLLM {reached['theirs']:.2f}"
        )
    assert reached["ours said"] == reached["theirs said"]
    assert reached["ours"] >= 1.3 * reached["theirs"]


def test_the_end_of_a_turn_is_proposed(folders: dict[str, str]) -> None:
    """A draft that ends its text proposes the target's own end; the two share no such token."""
    arguments = engine_arguments(folders, "gemma3", **speculative(folders, "smollm2", "ours"))
    engine = LLMEngine.from_engine_args(EngineArgs(**arguments))
    runner = engine.engine_core.engine_core.model_executor.driver_worker.worker.model_runner
    drafter = runner.drafter.drafter
    bridge = drafter._bridge
    session = bridge.session([], engine.get_tokenizer().encode("Hello"))
    control = {content: token for token, content in bridge.draft.special_tokens.items()}
    names = bridge.target.special_tokens
    assert [names[token] for token in session.propose([control["<|im_end|>"]])] == ["<eos>"]
