"""The session of a pair: its view, its proposals and its splices, whatever is said."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import texts
import wheels
from anydraft import Bridge, Tokenizer
from anydraft._core import common_boundaries
from streams import between, pieces, unfinished, whole

PAIRS = [
    ("gemma3", "smollm2"),
    ("smollm2", "gemma3"),
    ("qwen", "mistral_v1"),
    ("mistral_v1", "cl100k"),
    ("mistral_v1", "gemma3"),
    ("tekken", "deepseek"),
]
"""Target, draft. The first two are the real pair; Mistral v1 puts a space before a text."""


class Joined:
    """A bridge, with what the oracles below ask of it often."""

    def __init__(self, target: Tokenizer, draft: Tokenizer) -> None:
        self.target, self.draft = target, draft
        self.bridge = Bridge(target, draft)
        self.session = self.bridge.session
        self.to_target, self.to_draft = self.bridge.tables.draft_to_target, self.bridge.tables.target_to_draft
        self.controls = sorted(target.special_tokens)

    def respaced(self, text: bytes, *, for_draft: bool) -> bytes:
        """The first bytes of a text of one side as the other side writes them."""
        source, other = (self.target, self.draft) if for_draft else (self.draft, self.target)
        if not text:
            return text
        return b" " * other.dummy_prefix + (text.removeprefix(b" ") if source.dummy_prefix else text)

    def view(self, ids: list[int], *, opening: bool) -> list[int]:
        """What the draft should be shown for the target's ids, all at once."""
        view: list[int] = []
        text = b""
        for i in [*ids, None]:
            if i is not None and self.target.kind(i) != "special":
                text += self.target.bytes(i)
                continue
            view += whole(self.draft, self.respaced(text, for_draft=True) if opening else text)
            text, opening = b"", True
            if i is not None and self.to_draft[i] >= 0:
                view.append(int(self.to_draft[i]))
        return view

    def proposal(self, drafted: list[int]) -> list[int]:
        """What should be proposed for these draft ids in the middle of a text."""
        proposal: list[int] = []
        text = b""
        for i in drafted:
            kind = self.draft.kind(i)
            if kind == "special" and self.to_target[i] >= 0:
                if unfinished(text) or self.target.encode(text) is None:
                    break
                proposal += [*self.target.encode(text), int(self.to_target[i])]
                text = b""
            elif kind in ("special", "unused"):
                break
            else:
                text += self.draft.bytes(i)
        return proposal + (self.target.encode(text.removesuffix(unfinished(text))) or [])


@cache
def join(target: str, draft: str) -> Joined:
    return Joined(wheels.pair(target).ours, wheels.pair(draft).ours)


@pytest.fixture(scope="module", params=PAIRS, ids="<-".join)
def joined(request: pytest.FixtureRequest) -> Joined:
    return join(*request.param)


@st.composite
def sayings(draw: st.DrawFn, joined: Joined) -> list[int]:
    """Target ids as a model may say them: text, any ids, control tokens between."""
    ids = draw(pieces(joined.target))
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(ids)))
        ids = [*ids[:at], draw(st.sampled_from(joined.controls)), *ids[at:]]
    return ids


class TestSession:
    @given(st.data())
    def test_the_view_is_what_was_said(self, joined: Joined, data: st.DataObject) -> None:
        """Splices lead from what was shown to the view, and the view is the draft's encoding of all."""
        prompt = data.draw(st.one_of(st.just([]), sayings(joined)))
        session = joined.session(prompt=prompt)
        lead = 0
        while lead < len(prompt) and joined.target.kind(prompt[lead]) == "special":
            lead += 1
        ids, said, text = list(prompt), joined.target.decode(prompt), ""
        told = len(said) - len(unfinished(said))
        for _ in range(data.draw(st.integers(1, 3))):
            drafted = data.draw(pieces(joined.draft))
            shown = session.view() + drafted
            new = data.draw(sayings(joined))
            ids += new
            chunk, written, keep, append = session.commit(new, drafted)
            assert written == joined.target.decode(new)
            text += chunk
            said = joined.target.decode(ids)
            assert session.view() == joined.view(ids[lead:], opening=bool(prompt))
            assert (keep, append) == between(shown, session.view())
            assert session.bytes() == said
            assert len(session) == len(ids)
            assert text == said[told : len(said) - len(unfinished(said))].decode(errors="replace")
        assert text + session.finish() == said[told:].decode(errors="replace")

    @given(texts.data)
    def test_the_bytes_of_the_view_are_those_of_the_target(self, joined: Joined, said: bytes) -> None:
        """Token by token, where both can write the text; a rendered chat goes on without a space."""
        ids = [joined.target.find(bytes([byte])) for byte in said]
        assume(None not in ids and joined.draft.encode(said) is not None)
        session = joined.session(view=[5])
        for n, i in enumerate(ids, 1):
            session.commit([i], [])
            assert session.view()[0] == 5
            assert joined.draft.decode(session.view()[1:]) == said[:n]

    @given(st.data())
    def test_a_proposal_is_the_targets_encoding_of_the_draft(
        self, joined: Joined, data: st.DataObject
    ) -> None:
        context = data.draw(texts.texts).encode()
        assume(joined.target.encode(context) is not None and joined.draft.encode(context) is not None)
        session = joined.session(view=[5])
        session.commit(joined.target.encode(context), [])
        drafted = data.draw(pieces(joined.draft))
        assert session.propose(drafted) == joined.proposal(drafted)

    @given(st.data())
    def test_branches_are_the_likeliest_of_the_texts_beside_the_line(
        self, joined: Joined, data: st.DataObject
    ) -> None:
        session = joined.session(view=[5])
        ids = st.integers(0, len(joined.draft) - 1)
        chance = st.integers(0, 64).map(lambda n: n / 64)
        steps = data.draw(st.lists(st.lists(st.tuples(ids, chance), min_size=1, max_size=4), max_size=4))
        line = session.propose([step[0][0] for step in steps])[: data.draw(st.integers(0, 3))]
        depth, more = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 99))
        least = data.draw(chance)
        worth: dict[tuple[int, ...], float] = {}
        reach = 1.0
        for i, ((drawn, sure), *others) in enumerate(steps):
            for other, chance_of in others:
                if other != drawn and reach * chance_of > 0:
                    text = session.propose([*(step[0][0] for step in steps[:i]), other])[:depth]
                    for end in range(1, len(text) + 1):
                        worth[tuple(text[:end])] = worth.get(tuple(text[:end]), 0.0) + reach * chance_of
            reach *= sure
        beside = {path: w for path, w in worth.items() if w >= least and list(path) != line[: len(path)]}
        found, parents, expected = session.branches(steps, line, more=more, least=least, depth=depth)
        paths: list[tuple[int, ...]] = [tuple(line[:end]) for end in range(len(line) + 1)]
        for token, parent in zip(found, parents, strict=True):
            paths.append((*paths[parent], token))
        taken = paths[len(line) + 1 :]
        likeliest = sorted(beside.values(), reverse=True)[:more]
        assert len({*taken}) == len(taken)
        assert [beside[path] for path in taken] == likeliest
        assert expected == pytest.approx(sum(likeliest))

    @given(texts.texts)
    def test_a_proposal_at_the_very_start_is_spaced_as_the_target_does(
        self, joined: Joined, text: str
    ) -> None:
        """A text of its own, as each side writes it: the draft drafts it whole, after the target's BOS."""
        said = text.encode()
        assume(said)
        sides = joined.target, joined.draft
        target, draft = (side.encode(b" " * side.dummy_prefix + said) for side in sides)
        assume(target is not None and draft is not None)
        session = joined.session(prompt=joined.controls[:1])
        assert session.propose(draft) == target


def test_a_draft_that_cannot_write_a_character_must_draft_it_again() -> None:
    """SmolLM2 has no token for the byte 0x04: what it is not shown it cannot go on from."""
    joined = join("gemma3", "smollm2")
    session = joined.session(view=[5])
    session.commit(joined.target.encode(b"a\x04"), [])
    assert joined.draft.decode(session.view()[1:]) == b"a"
    assert session.propose(joined.draft.encode(b" b")) == []
    session.commit(joined.target.encode(b"c"), [])
    assert joined.draft.decode(session.view()[1:]) == b"ac"
    assert session.propose(joined.draft.encode(b" b")) == joined.target.encode(b" b")


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
@example([0, 0, 1], [1, 0])
def test_common_boundaries(left: list[int], right: list[int]) -> None:
    """Every offset at which tokens of both sides end, with the number of tokens up to there."""
    ends = [[sum(lengths[: n + 1]) for n in range(len(lengths))] for lengths in (left, right)]
    assert common_boundaries(*ends) == [
        (offset, *(sum(end <= offset for end in side) for side in ends))
        for offset in sorted({*ends[0]} & {*ends[1]})
    ]
