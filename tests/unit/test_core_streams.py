"""Retokenizer, Detokenizer and Session: incremental equals whole, whatever is pushed, cut or taken back."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import texts
import wheels
from anydraft import Bridge, Detokenizer, Retokenizer, Tokenizer
from anydraft._core import common_boundaries
from wheels import Pair

DOCUMENT = "".join(
    [
        'def fib(n: int) -> int:\n    """The n-th number — “naïve”, isn\'t it?"""\n\n',
        '\tif n < 2:\r\n        return n   # 1234567 ½ HelloWorld\'ll x != y;  "C:\\dir" 12,345.67e-10\n',
        "日本語のテキスト、中文。 한국어 e\u0301 👩\u200d👩\u200d👧 <bos><|im_end|> ",
        "<0x0A> ▁▁  \n\n\n\n    \t ",
    ]
)


def between(before: list[int], after: list[int]) -> tuple[int, list[int]]:
    """The splice with the longest ``keep``."""
    keep = 0
    while keep < min(len(before), len(after)) and before[keep] == after[keep]:
        keep += 1
    return keep, after[keep:]


def whole(tokenizer: Tokenizer, data: bytes) -> list[int]:
    """The ids of a text pushed at once, which is its encoding where it can be written."""
    ids = tokenizer.encode(data)
    if ids is not None:
        return ids
    retokenizer = Retokenizer(tokenizer)
    retokenizer.push(data)
    return retokenizer.ids()


def bits(data: bytes, step: int) -> list[tuple[str, bytes]]:
    """A text pushed in steps of some bytes."""
    return [("push", data[start : start + step]) for start in range(0, len(data), step)]


def _some(alphabet: str, length: int = 2_000) -> str:
    """Characters in an order that repeats only after a long time."""
    return "".join(alphabet[(i * i + i // 7) % len(alphabet)] for i in range(length))


RUNS = {
    "dna": _some("ACGT"),
    "letters": _some("setting"),
    "spaces": " " * 2_000,
    "newlines": "\n" * 2_000,
    "digits": _some("0123456789"),
    "cjk": _some("的一是不了人我在有他这中大来上个国"),
    "kana": _some("ひらがなカタカナー", 900),
    "signs": _some("-="),
    "quotes": "'" * 1_000,
    "emoji": _some("😀👍🎉", 900),
    "devanagari": _some("नमस्ते", 900),
}
"""Texts without a break, or with breaks that only digits and the like make."""

CHANGES = st.lists(
    st.one_of(
        texts.data.map(lambda data: [("push", data)]),
        st.builds(bits, texts.texts.map(str.encode), st.integers(1, 4)),
        st.integers(0, 12).map(lambda length: [("back", length)]),
        st.floats(0, 1).map(lambda part: [("to", part)]),
    ),
    max_size=10,
).map(lambda changes: [change for some in changes for change in some])
"""Bytes to push, at once or in small bits, and bytes to take back: a few, or down to a part of the text."""


class TestRetokenizer:
    @given(CHANGES)
    def test_incremental_is_whole_and_splices_are_minimal(self, tokenizer: Pair, changes: list) -> None:
        stream = Retokenizer(tokenizer.ours)
        data, shown = b"", []
        for kind, value in changes:
            if kind == "push":
                data += value
                splice = stream.push(value)
            else:
                data = data[: max(0, len(data) - value) if kind == "back" else int(len(data) * value)]
                splice = stream.truncate(len(data))
            expected = whole(tokenizer.ours, data)
            assert stream.text() == data
            assert stream.ids() == expected
            assert splice == between(shown, expected)
            shown = expected
            ends, reached = stream.ends(), 0
            for i, end in zip(expected, ends, strict=True):
                token = tokenizer.ours.bytes(i)
                assert data[:end].endswith(token)
                assert end - len(token) >= reached
                reached = end

    @pytest.mark.parametrize("step", [1, 2, 5])
    def test_every_byte_offset_forward_and_back(self, tokenizer: Pair, step: int) -> None:
        data = DOCUMENT.encode()
        stream = Retokenizer(tokenizer.ours)
        for end in range(step, len(data) + 1, step):
            stream.push(data[end - step : end])
            assert stream.ids() == whole(tokenizer.ours, data[:end])
        for end in range(len(stream.text()), 0, -step):
            stream.truncate(end)
            assert stream.ids() == whole(tokenizer.ours, data[:end])

    @given(texts.data, texts.data)
    def test_a_long_context_changes_nothing(self, tokenizer: Pair, data: bytes, other: bytes) -> None:
        before = DOCUMENT.encode() * 3
        stream = Retokenizer(tokenizer.ours)
        stream.push(before)
        for new in (data, other):
            old = stream.ids()
            splice = stream.push(new)
            assert splice == between(old, whole(tokenizer.ours, before + new))
            stream.truncate(len(before))
            assert stream.ids() == old

    @pytest.mark.parametrize("kind", RUNS)
    def test_a_long_run_at_every_offset_near_its_end(self, tokenizer: Pair, kind: str) -> None:
        """Pushed in steps, cut back, ended by other text, gone on with: always the whole encoding."""
        run = RUNS[kind].encode()
        stream = Retokenizer(tokenizer.ours)
        stream.push(b"It's so: " + run[:-60])
        for start in range(len(run) - 60, len(run), 7):
            stream.push(run[start : start + 7])
            assert stream.ids() == whole(tokenizer.ours, stream.text())
        length = len(stream.text())
        for back in range(12):
            stream.truncate(length - back)
            assert stream.ids() == whole(tokenizer.ours, stream.text())
        for end in (" a", "'s", "\n", "1", "\u0301", "\xff", "<0x0A>", "  \n"):
            here = len(stream.text())
            for byte in end.encode("latin-1" if end == "\xff" else "utf-8"):
                stream.push(bytes([byte]))
                assert stream.ids() == whole(tokenizer.ours, stream.text())
            stream.push(run[:9])
            assert stream.ids() == whole(tokenizer.ours, stream.text())
            stream.truncate(here)
            assert stream.ids() == whole(tokenizer.ours, stream.text())

    def test_out_of_range(self, tokenizer: Pair) -> None:
        stream = Retokenizer(tokenizer.ours)
        assert stream.push(b"") == (0, [])
        stream.push(b"abc")
        assert stream.truncate(99) == (len(stream.ids()), [])
        assert stream.truncate(0) == (0, [])


def unfinished(data: bytes) -> bytes:
    """The tail that some continuation would make a character; at most three bytes."""
    for length in range(min(3, len(data)), 0, -1):
        tail = data[-length:]
        try:
            tail.decode()
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                return tail
    return b""


IDS = st.lists(st.floats(0, 1, exclude_max=True), max_size=12)
"""Ids as fractions of a vocabulary."""


@st.composite
def pieces(draw: st.DrawFn, tokenizer: Tokenizer) -> list[int]:
    """Ids of any kind: of a text, of bytes one by one, or any at all, control tokens too."""
    data = draw(texts.data)
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return whole(tokenizer, data)
    if kind == 1:
        return [i for byte in data if (i := tokenizer.find(bytes([byte]))) is not None]
    return [int(fraction * len(tokenizer)) for fraction in draw(IDS)]


class TestDetokenizer:
    @given(st.data())
    def test_chunks_add_up(self, tokenizer: Pair, data: st.DataObject) -> None:
        """Nothing is lost, nothing said twice, and no half character is said before the end."""
        stream, ids, text = Detokenizer(tokenizer.ours), [], ""
        for _ in range(data.draw(st.integers(1, 4))):
            new = data.draw(pieces(tokenizer.ours))
            ids += new
            text += stream.push(new)
            expected = tokenizer.ours.decode(ids)
            assert stream.bytes() == expected
            assert len(stream) == len(ids)
            tail = stream.pending()
            assert expected.endswith(tail)
            assert text == expected[: len(expected) - len(tail)].decode(errors="replace")
            assert tail == unfinished(expected)
        assert text + stream.finish() == tokenizer.ours.decode(ids).decode(errors="replace")

    @given(st.data())
    def test_truncate_undoes_push(self, tokenizer: Pair, data: st.DataObject) -> None:
        """Afterwards the text goes on from the last whole character that is left."""
        before, undone, after = (data.draw(pieces(tokenizer.ours)) for _ in range(3))
        stream, straight = Detokenizer(tokenizer.ours), Detokenizer(tokenizer.ours)
        stream.push(before + undone)
        keep = data.draw(st.integers(0, len(before + undone)))
        stream.truncate(keep)
        straight.push((before + undone)[:keep])
        assert stream.bytes() == straight.bytes()
        assert stream.pending() == straight.pending()
        assert len(stream) == len(straight) == keep
        assert stream.push(after) == straight.push(after)
        assert stream.finish() == straight.finish()


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
