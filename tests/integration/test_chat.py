"""A chat that goes on: each turn feeds only what is new, and says what a fresh start would say."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import anydraft
import trained
from anydraft.errors import ArgumentError
from anydraft.models.base import Model
from chat_templates import TEMPLATES


def pair(*, method: Any = "auto", **options: Any) -> anydraft.Speculator:
    """A trained pair whose sides have different chat templates."""
    target, draft, *tokenizers = trained.pair()
    tokenizers = [copy.deepcopy(tokenizer) for tokenizer in tokenizers]
    for tokenizer, template in zip(tokenizers, TEMPLATES, strict=True):
        tokenizer.chat_template = template
    options.setdefault("num_draft_tokens", 5)
    return anydraft.Speculator(target, draft, *tokenizers, method=method, **options)


class Fed:
    """A model that keeps what it is fed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.ids: list[int] = []
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def advance(self, ids: Any, keep: int = 1) -> Any:
        if self.fails:
            raise RuntimeError("no memory")
        self.ids += ids.tolist()
        return self.model.advance(ids, keep)

    def branch(self, ids: Any, parents: Any) -> Any:
        if self.fails:
            raise RuntimeError("no memory")
        self.ids += ids.tolist()
        return self.model.branch(ids, parents)


def watched(pair: anydraft.Speculator) -> tuple[anydraft.Conversation, Fed, Fed]:
    """A conversation with a look at what its models are fed."""
    target, draft = (Fed(model) for model in pair.engine.sequences())
    pair.engine.sequences = lambda: (target, draft)  # type: ignore[method-assign,assignment,return-value]
    return pair.chat(max_new_tokens=10), target, draft


def fresh(pair: anydraft.Speculator, messages: Any, **options: Any) -> list[int]:
    return pair.generate(messages=messages, **{"max_new_tokens": 10, **options}).token_ids


def test_turns_say_what_a_fresh_start_says() -> None:
    made = pair()
    chat = made.chat(max_new_tokens=10)
    for text in ("The quick", "Ça va", "12345", "def fib(n):"):
        messages = [*chat.messages, {"role": "user", "content": text}]
        out = chat.say(text)
        assert out.token_ids == fresh(pair(), messages)
        assert chat.messages == [*messages, {"role": "assistant", "content": out.text}]


def test_a_turn_feeds_only_what_is_new() -> None:
    made = pair()
    chat, target, draft = watched(made)
    chat.say("The quick brown fox jumps over the lazy dog. The dog sleeps; the fox runs on and on.")
    for model in (target, draft):
        model.ids.clear()
    out = chat.say("And?")
    new_target = len(out.prompt_ids) + 10
    assert len(target.ids) < 10 * 6 + 20 < new_target + 40
    assert out.prompt_ids[0] not in target.ids  # the BOS at the very beginning is not read again
    assert len(target.ids) - out.stats.proposed - 10 < len(out.prompt_ids) // 2


@pytest.mark.parametrize("index", [0, 2, -2])
def test_an_edit_rolls_both_back(index: int) -> None:
    made = pair()
    chat = made.chat(max_new_tokens=8)
    for text in ("The quick", "Ça va", "12345"):
        chat.say(text)
    chat.edit(index, "def fib(n):")
    messages = chat.messages
    assert messages[-1] == {"role": "user", "content": "def fib(n):"}
    assert chat.say().token_ids == fresh(pair(), messages, max_new_tokens=8)


def test_the_draft_reads_the_chat_in_its_own_template() -> None:
    made = pair()
    chat, _, draft = watched(made)
    chat.add("system", "Be brief.")
    chat.say("The quick")
    text = trained.pair()[3].decode(draft.ids)
    assert text.startswith("[s] Be brief.\n[u] The quick\n[a] ")


def test_a_turn_that_is_given_up_leaves_the_chat_as_it_was() -> None:
    chat = pair().chat(max_new_tokens=10)
    chat.say("The quick")
    before = chat.messages
    turn = chat.stream("Ça va")
    next(turn)
    del turn
    assert chat.messages == before
    messages = [*before, {"role": "user", "content": "12345"}]
    assert chat.say("12345").token_ids == fresh(pair(), messages)


def test_a_turn_streams_its_events() -> None:
    chat = pair().chat(max_new_tokens=10)
    turn = chat.stream("The quick")
    text = "".join(event.text for event in turn)
    assert chat.messages[-1] == {"role": "assistant", "content": text}
    assert turn.stats.tokens == 10


def test_options_of_a_turn_and_of_the_chat() -> None:
    chat = pair().chat(max_new_tokens=10, temperature=1.0, seed=4)
    assert len(chat.say("The", max_new_tokens=3).token_ids) == 3
    with pytest.raises(anydraft.ArgumentError, match="makes its own prompts"):
        chat.say("The", prompt="x")
    with pytest.raises(anydraft.ArgumentError, match="makes its own prompts"):
        pair().chat(caches=None)
    with pytest.raises(anydraft.ArgumentError, match="got message 9"):
        chat.edit(9, "x")


def test_a_turn_after_a_failed_one() -> None:
    chat, target, _ = watched(pair())
    chat.say("The quick")
    messages = [*chat.messages, {"role": "user", "content": "Ça va"}]
    target.fails = True
    with pytest.raises(RuntimeError, match="no memory"):
        chat.say("Ça va")
    target.fails = False
    assert chat.say("Ça va").token_ids == fresh(pair(), messages)


def test_a_draft_that_fails_is_back_at_the_next_turn() -> None:
    chat, _, draft = watched(pair())
    draft.fails = True
    out = chat.say("The quick")
    draft.fails = False
    assert out.draft_failure is not None
    messages = [*chat.messages, {"role": "user", "content": "Ça va"}]
    again = chat.say("Ça va")
    assert again.draft_failure is None
    assert again.stats.drafted > 0
    assert again.token_ids == fresh(pair(), messages)


def test_stop_strings_from_an_iterator_hold_for_every_turn() -> None:
    speculator = pair()
    said = speculator.chat(max_new_tokens=10).say("The quick").text
    chat = speculator.chat(max_new_tokens=10, stop=iter([said[2:4]]))  # type: ignore[arg-type]
    assert chat.say("The quick").finish_reason == "stop"
    chat.edit(0, "The quick")
    assert chat.say().finish_reason == "stop"


@pytest.mark.parametrize(
    "messages", ["You are brief", {"role": "user", "content": "Hi"}, ["Hi"], [{"content": "Hi"}]]
)
def test_what_is_no_list_of_messages(messages: Any) -> None:
    with pytest.raises(ArgumentError, match=r"expected a (list such as \[|dictionary with a 'role')"):
        pair().chat(messages)
    assert pair().chat([]).messages == pair().chat(()).messages == pair().chat(iter(())).messages == []
    assert pair().chat(iter([{"role": "user", "content": "Hi"}])).messages == [
        {"role": "user", "content": "Hi"}
    ]
