"""Retokenizer and Detokenizer: incremental equals whole, whatever is pushed, cut or taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import texts
from anydraft import Detokenizer, Retokenizer
from streams import between, pieces, unfinished, whole
from wheels import Pair

DOCUMENT = "".join(
    [
        'def fib(n: int) -> int:\n    """The n-th number — “naïve”, isn\'t it?"""\n\n',
        '\tif n < 2:\r\n        return n   # 1234567 ½ HelloWorld\'ll x != y;  "C:\\dir" 12,345.67e-10\n',
        "日本語のテキスト、中文。 한국어 e\u0301 👩\u200d👩\u200d👧 <bos><|im_end|> ",
        "<0x0A> ▁▁  \n\n\n\n    \t ",
    ]
)


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
