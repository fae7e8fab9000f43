"""``anydraft.LlamaDraft`` in a Llama: its texts are those without it, grammars and chats included."""

from __future__ import annotations

import json
from typing import Any

import llama_cpp
import numpy as np
import pytest

import anydraft
from anydraft.errors import ArgumentError, ModelFileError
from anydraft.integrations.vllm.drafter import Drafter
from anydraft.models.llama_cpp.context import Context
from anydraft.scheduling.directors import Choice
from files import file, opened
from real_pair import PROMPTS

GRAMMAR = r"""
root ::= "{" ws "\"name\":" ws string "," ws "\"age\":" ws [0-9]+ ws "}"
string ::= "\"" [A-Za-z ]+ "\""
ws ::= [ ]?
"""


@pytest.fixture(scope="module")
def plain() -> Any:
    return opened(logits_all=True)


@pytest.fixture
def drafts_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drafter, "_choose", lambda self, *_: Choice("slem", self._most_tokens))


def completed(llama: Any, prompt: str, **options: Any) -> str:
    given = {"max_tokens": 24, "temperature": 0.0} | options
    return str(llama.create_completion(prompt, **given)["choices"][0]["text"])


@pytest.mark.usefixtures("drafts_always")
@pytest.mark.parametrize("which", ["tiny", "gemma3"])
def test_texts_are_those_without_it(plain: Any, which: str) -> None:
    draft = anydraft.LlamaDraft("tiny" if which == "tiny" else file("gemma3"))
    llama = opened(logits_all=True, draft_model=draft)
    for prompt in PROMPTS[4:9]:
        assert completed(llama, prompt) == completed(plain, prompt), prompt
    assert draft.counts.accepted > 10
    assert draft.counts.drafted_rounds == draft.counts.rounds


@pytest.mark.usefixtures("drafts_always")
def test_grammars_and_chats_go_on_working(plain: Any) -> None:
    draft = anydraft.LlamaDraft()
    llama = opened(logits_all=True, draft_model=draft)
    texts = []
    for one in (llama, plain):
        grammar = llama_cpp.LlamaGrammar.from_string(GRAMMAR, verbose=False)
        texts.append(completed(one, "Ada Lovelace as JSON: ", grammar=grammar, max_tokens=48))
    assert texts[0] == texts[1]
    assert set(json.loads(texts[0])) == {"name", "age"}
    messages: Any = [{"role": "user", "content": "Name three colours."}]
    said = [
        one.create_chat_completion(messages, max_tokens=24, temperature=0.0)["choices"][0]["message"]
        for one in (llama, plain)
    ]
    assert said[0] == said[1]
    assert draft.counts.accepted > 0


@pytest.mark.usefixtures("drafts_always")
def test_it_reads_what_is_new_only(monkeypatch: pytest.MonkeyPatch) -> None:
    fed: list[int] = []
    real = Context.advance

    def counted(self: Any, rows: Any, ids: Any, keep: Any) -> Any:
        fed.extend(len(own) for own in ids)
        return real(self, rows, ids, keep)

    monkeypatch.setattr(Context, "advance", counted)
    draft = anydraft.LlamaDraft(opened(file("gemma3"), n_ctx=1024))
    llama = opened(logits_all=True, draft_model=draft, n_ctx=1024)
    completed(llama, "It was a dark and stormy night. " * 60, max_tokens=16)
    assert fed[0] > 400  # the prompt, once
    assert max(fed[1:]) < 20


def test_it_proposes_nothing_where_that_does_not_pay(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import anydraft.integrations.vllm.drafter as module

    clock = iter(x * 1.0 for x in range(10**6))  # every reading is a second later: drafting takes the most
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    draft = anydraft.LlamaDraft()
    llama = opened(logits_all=True, draft_model=draft)
    assert completed(llama, PROMPTS[0], max_tokens=40) == completed(plain, PROMPTS[0], max_tokens=40)
    assert draft.counts.drafted_rounds < draft.counts.rounds / 2


@pytest.mark.usefixtures("drafts_always")
def test_ctrl_c_inside_begins_anew(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import anydraft.integrations.vllm.drafter as module

    draft = anydraft.LlamaDraft()
    llama = opened(logits_all=True, draft_model=draft)
    translate, calls = module.Drafter._translate, []

    def pressed(self: Any, request: Any, ids: Any, most: int) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return translate(self, request, ids, most)

    monkeypatch.setattr(module.Drafter, "_translate", pressed)
    with pytest.raises(KeyboardInterrupt):
        completed(llama, PROMPTS[4])
    assert len(draft._drafter._table) == 0  # type: ignore[union-attr]
    assert completed(llama, PROMPTS[4]) == completed(plain, PROMPTS[4])
    assert draft.counts.accepted > 0


def test_a_draft_that_fails_is_reported_and_left_out(
    plain: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Drafter, "propose", fails)
    llama = opened(logits_all=True, draft_model=anydraft.LlamaDraft())
    assert completed(llama, PROMPTS[0]) == completed(plain, PROMPTS[0])
    assert "the Llama goes on without it" in caplog.text


def test_what_it_refuses() -> None:
    with pytest.raises(ArgumentError, match="expected a whole number, 1 or more"):
        anydraft.LlamaDraft(num_draft_tokens=0)
    with pytest.raises(ModelFileError):
        anydraft.LlamaDraft("nowhere.gguf")
    assert anydraft.LlamaDraft("smollm2")._draft == file("smollm2")  # names, as everywhere
    with pytest.raises(ArgumentError, match="from outside of a Llama"):
        anydraft.LlamaDraft()(np.zeros(3, np.intc))
    draft = anydraft.LlamaDraft()
    completed(opened(draft_model=draft), "One", max_tokens=3)
    with pytest.raises(ArgumentError, match="make another"):
        completed(opened(draft_model=draft), "Two", max_tokens=3)


def test_llama_cpp_pythons_own_limit_is_as_the_docs_say() -> None:
    """With any draft model, texts longer than ``n_batch`` need ``logits_all=True``."""
    text = "one two three " * 20
    for options, fails in (({}, True), ({"logits_all": True}, False)):
        lookup = llama_cpp.llama_speculative.LlamaPromptLookupDecoding()
        for draft in (lookup, anydraft.LlamaDraft()):
            llama = opened(n_batch=32, draft_model=draft, **options)
            if fails:
                with pytest.raises(ValueError, match="could not broadcast"):
                    completed(llama, text, max_tokens=3)
            else:
                assert completed(llama, text, max_tokens=3)
