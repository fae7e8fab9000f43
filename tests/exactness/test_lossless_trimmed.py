"""The real pair with Gemma-3's head trimmed: what comes out is what the target alone would say."""

from __future__ import annotations

from collections import Counter

import pytest

import real_pair
from anydraft.models.fast.trimmed_head import TrimmedModel
from anydraft.proposers.registry import Method
from real_pair import Remembering
from sampled import one_of
from test_lossless_real import FALSE_ALARM, KNOWN_FAILURE, SAMPLES, fresh, law, p_value, two_token_law

pytestmark = pytest.mark.real


@pytest.mark.parametrize("method", one_of(3, ["tli", "slem", "slrs"], first=2))
def test_sampling_has_the_targets_law(method: Method) -> None:
    """Chi-square over two-token continuations; the false-alarm rate is ``FALSE_ALARM``."""
    pair = real_pair.speculator("smollm2", "gemma3", method, num_draft_tokens=1, draft_head="shared")
    trimmed = pair.engine.sequences()[1]
    assert isinstance(trimmed, TrimmedModel)
    target, draft = real_pair.remembering("smollm2"), Remembering(trimmed)
    pair.engine.sequences = lambda: (fresh(target), fresh(draft))  # type: ignore[method-assign, return-value]
    prompt = real_pair.tokenizer("smollm2")(KNOWN_FAILURE)["input_ids"]
    target.prefetch(prompt, law(target, prompt).argsort(descending=True)[:600].tolist())
    counts: Counter[tuple[int, ...]] = Counter()
    accepted = 0
    for seed in range(SAMPLES):
        out = pair.generate(KNOWN_FAILURE, max_new_tokens=2, temperature=1.0, seed=seed)
        counts[tuple(out.token_ids)] += 1
        accepted += out.stats.accepted
    assert accepted > SAMPLES // 20
    assert p_value(counts, two_token_law(target, prompt)) > FALSE_ALARM


@pytest.mark.parametrize("prompt", real_pair.PROMPTS[::5])
def test_greedy_output_is_the_targets_own(prompt: str) -> None:
    wanted = real_pair.speculator("smollm2", "gemma3", "slem", draft_head="full")
    pair = real_pair.speculator("smollm2", "gemma3", "auto", num_draft_tokens="auto", draft_head="shared")
    expected = wanted.generate(prompt, max_new_tokens=16).token_ids
    for _ in range(2):
        assert pair.generate(prompt, max_new_tokens=16).token_ids == expected


def test_the_trimmed_head_is_much_smaller() -> None:
    head = real_pair.speculator("smollm2", "gemma3", draft_head="shared").engine.sequences()[1]
    assert isinstance(head, TrimmedModel)
    assert len(head.head.rows) < 0.2 * head.vocab_size
    number = len(head.head.rows) * 640
    second = {0, 4 * number, number + 2 * len(head.head.rows)}  # none, packed, in bytes
    assert head.head.nbytes in {4 * number + more for more in second}
