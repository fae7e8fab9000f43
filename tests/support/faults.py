"""Tokenizers with one fault each, as they occur in the wild, and the law that must find it."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import tiktoken
from tokenizers import AddedToken, Tokenizer, normalizers, processors
from transformers import PreTrainedTokenizerFast

import small
from anydraft.testing import Subject
from faulty_streams import (
    Anew,
    Forgetful,
    Hasty,
    KeepsOneLess,
    Longer,
    OffByOne,
    ProposesAll,
    SaysOtherBytes,
    pair,
    session,
)


@dataclass(frozen=True)
class Fault:
    """A fault, the law that it breaks, and what the explanation must say."""

    law: str
    make: Callable[[], Any]
    said: str


@cache
def sound() -> Subject:
    """Byte-level BPE of transformers, without a fault."""
    return Subject.of(small.byte_level())


@cache
def fallback() -> Subject:
    """SentencePiece style, with byte tokens; it reads ▁ as a space, as all of them do."""
    return Subject.of(small.byte_fallback()).allow("space-mark", "held-back-end")


@cache
def digits() -> Subject:
    """A tiktoken encoding that takes digits by three from the left."""
    more = [b"".join(pair) for pair in itertools.product([b"%d" % i for i in range(10)], repeat=2)]
    ranks = {token: i for i, token in enumerate([*(bytes([byte]) for byte in range(256)), *more])}
    pattern = r"\p{N}{1,3}|[^\p{N}]+"
    return Subject.of(
        tiktoken.Encoding("digits", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|end|>": 400})
    )


def _decode(change: Callable[[str], str]) -> Subject:
    whole = sound()
    return replace(whole, decode=lambda ids: change(whole.decode(ids)))


def _encode(change: Callable[[str], str]) -> Subject:
    whole = sound()
    return replace(whole, encode=lambda text: whole.encode(change(text)))


def _backend() -> Tokenizer:
    return Tokenizer.from_str(small.byte_level().backend_tokenizer.to_str())


def wrong_byte_table() -> Subject:
    """Two bytes exchanged in a table that somebody wrote by hand."""
    whole = sound()
    swap = {b"\n": b"\r", b"\r": b"\n"}
    return replace(whole, token_bytes=lambda i: swap.get(whole.token_bytes(i), whole.token_bytes(i)))


def cleans_spaces() -> PreTrainedTokenizerFast:
    """A setting of transformers, by its own name."""
    return PreTrainedTokenizerFast(
        tokenizer_object=_backend(),
        clean_up_tokenization_spaces=True,
        clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True,
    )


def shadowed_bytes() -> Subject:
    """The byte token of a newline among the added tokens: plain text that looks like it becomes a newline."""
    parts = json.loads(small.byte_fallback().backend_tokenizer.to_str())
    token = {"id": parts["model"]["vocab"]["<0x0A>"], "content": "<0x0A>", "special": False}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    parts["added_tokens"] = sorted([*parts["added_tokens"], token | flags], key=lambda one: one["id"])
    return Subject.of(Tokenizer.from_str(json.dumps(parts))).allow("space-mark")


def hungry_token() -> Tokenizer:
    """An added token that swallows the white space before it."""
    backend = _backend()
    backend.add_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    return backend


def composed() -> Tokenizer:
    """A normalizer in the file that nobody mentioned."""
    backend = _backend()
    backend.normalizer = normalizers.NFC()
    return backend


def reads_specials() -> Subject:
    """Control tokens are found in plain text, which a user may have written."""
    whole, backend = sound(), _backend()
    return replace(whole, encode=lambda text: backend.encode(text, add_special_tokens=False).ids)


def adds_specials() -> Subject:
    """A post-processor that is always on."""
    whole, backend = sound(), _backend()
    i = backend.token_to_id("<|endoftext|>")
    backend.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", i)]
    )
    return replace(whole, encode=lambda text: backend.encode(text).ids)


def dropout() -> Tokenizer:
    """Merges left out by chance: a setting for training that was left on."""
    parts = json.loads(_backend().to_str())
    parts["model"]["dropout"] = 0.3
    return Tokenizer.from_str(json.dumps(parts))


def careless_cache() -> Subject:
    """A cache whose key is not the text."""
    whole, kept = sound(), dict[str, Sequence[int]]()
    return replace(whole, encode=lambda text: kept.setdefault(text.strip(), whole.encode(text)))


def stale_buffer() -> Subject:
    """What is kept of the text before is taken for the same text if it starts like it."""
    whole, last = sound(), ["", list[int]()]

    def encode(text: str) -> Sequence[int]:
        if text[:8] != last[0][:8]:
            last[:] = [text, list(whole.encode(text))]
        return last[1]

    return replace(whole, encode=encode)


def short_words() -> Subject:
    """A limit on the length of a word, as WordPiece has one."""
    whole, unknown = sound(), small.byte_level().eos_token_id
    return replace(
        whole,
        encode=lambda text: [unknown] if max(map(len, text.split()), default=0) > 100 else whole.encode(text),
    )


def panics_on_surrogates() -> Subject:
    """A crash where a refusal is due."""

    class PanicException(BaseException):  # what extensions written in Rust raise
        pass

    def encode(text: str) -> Sequence[int]:
        if any(0xD800 <= ord(char) < 0xE000 for char in text):
            raise PanicException("called `Result::unwrap()` on an `Err` value")
        return sound().encode(text)

    return replace(sound(), encode=encode)


def wrong_ids() -> Subject:
    """An id beyond the vocabulary."""
    whole = sound()
    return replace(
        whole,
        encode=lambda text: [len(small.byte_level()) if "0" in text else i for i in whole.encode(text)],
        decode=lambda ids: "?" if len(small.byte_level()) in ids else whole.decode(ids),
    )


def not_merged() -> Subject:
    """One id for each byte: the text is right, the ids are not those of the tokenizer."""
    whole = sound()
    return replace(
        whole, encode=lambda text: [i for byte in text.encode() for i in whole.encode_bytes(bytes([byte]))]
    )


def stutters() -> Subject:
    """A streaming decoder that decodes each id by itself."""
    whole = sound()
    return replace(whole, stream=lambda: lambda i: whole.decode([i]))


def refuses_bytes() -> Subject:
    """A byte-level encoder that takes whole characters only."""
    whole = sound()

    def encode(data: bytes) -> list[int] | None:
        try:
            return whole.encode_bytes(data.decode().encode())
        except UnicodeDecodeError:
            return whole.encode_bytes(data.decode(errors="ignore").encode())

    return replace(whole, encode_bytes=encode)


def _detokenizer(base: Callable[[], Subject], kind: type) -> Callable[[], Subject]:
    return lambda: replace(base(), detokenizer=lambda: kind(base().core))


def _retokenizer(base: Callable[[], Subject], kind: type) -> Callable[[], Subject]:
    return lambda: replace(base(), retokenizer=lambda: kind(base().core))


FAULTS: dict[str, Fault] = {
    "a wrong byte table": Fault("bytes-of-ids", wrong_byte_table, "differs    at byte"),
    "a lost leading space": Fault(
        "round-trip", lambda: _decode(lambda t: t.removeprefix(" ")), 'text       20  " "'
    ),
    "a decoder that cleans spaces": Fault("round-trip", cleans_spaces, "differs    at byte"),
    "a decoder that strips the end": Fault("round-trip", lambda: _decode(str.rstrip), "got        nothing"),
    "an off-by-one truncate of ids": Fault("undone-decoding", _detokenizer(sound, OffByOne), "2. keep    0"),
    "an off-by-one truncate of text": Fault(
        "incremental-encoding", _retokenizer(sound, Longer), "2. keep    0"
    ),
    "an added token that shadows a byte": Fault("round-trip", shadowed_bytes, '"<0x0A>"'),
    "an added token that swallows space": Fault("round-trip", hungry_token, '<mask>"'),
    "a normal form applied in silence": Fault("round-trip", composed, "differs    at byte"),
    "a normal form of the own encode": Fault(
        "bytes-of-ids", lambda: _encode(lambda t: unicodedata.normalize("NFKC", t)), "differs    at byte"
    ),
    "a dropped NUL": Fault(
        "round-trip", lambda: _encode(lambda t: t.replace("\x00", "")), 'text       00  "\\x00"'
    ),
    "line ends made equal": Fault("round-trip", lambda: _encode(lambda t: t.replace("\r\n", "\n")), "0d 0a"),
    "digits regrouped on incremental pushes": Fault(
        "incremental-encoding", _retokenizer(digits, Forgetful), "in pieces"
    ),
    "U+FFFD early for a split character": Fault(
        "incremental-decoding", _detokenizer(fallback, Hasty), "\\ufffd"
    ),
    "a streaming decoder without a memory": Fault("own-stream", stutters, "\\ufffd"),
    "splices that start at nothing": Fault("splices", _retokenizer(sound, Anew), "the splice keeps 0 ids"),
    "a control token read in plain text": Fault("no-control-tokens", reads_specials, "<|"),
    "a control token before every text": Fault("no-control-tokens", adds_specials, "'<|endoftext|>'"),
    "dropout left on": Fault("determinism", dropout, "first ids"),
    "a cache with a careless key": Fault("distinct-ids", careless_cache, "two texts have the same ids"),
    "a buffer that is stale": Fault("determinism", stale_buffer, "second ids"),
    "long words made unknown": Fault("round-trip", short_words, "<|endoftext|>"),
    "a crash on a lone surrogate": Fault("surrogates", panics_on_surrogates, "PanicException"),
    "a lone surrogate dropped": Fault(
        "surrogates", lambda: _encode(lambda t: t.encode(errors="ignore").decode()), "instead of refused"
    ),
    "an id beyond the vocabulary": Fault("vocabulary", wrong_ids, "expected an int from 0"),
    "ids that are not merged": Fault("canonical", not_merged, "of the bytes"),
    "partial characters dropped": Fault("any-bytes", refuses_bytes, "differs    at byte"),
    "text decided too late to stay": Fault("prefix-stability", lambda: _decode(lambda t: t[::-1]), "first"),
    "a decoder that says another text": Fault(
        "text-of-tokens", lambda: _decode(lambda t: t.replace("é", "e")), 'é"'
    ),
    "a partner with other bytes": Fault(
        "pair-tables",
        lambda: replace(pair(), to_target=lambda i: max(pair().to_target(i) - 1, 0)),
        "other bytes",
    ),
    "a partner that is not known": Fault(
        "pair-tables", lambda: replace(pair(), to_draft=lambda _: -1), "has no partner"
    ),
    "an expansion that is one short": Fault(
        "pair-expansion", lambda: replace(pair(), expand=lambda i: pair().expand(i)[:-1]), "other bytes"
    ),
    "a splice that keeps too little": Fault("pair-view", lambda: session(KeepsOneLess), "got the splice"),
    "half a character proposed": Fault("pair-proposal", lambda: session(ProposesAll), "proposal"),
    "bytes of a commit that are not its ids'": Fault(
        "pair-view", lambda: session(SaysOtherBytes), "other bytes than its ids"
    ),
    "a lost space between two tokenizers": Fault(
        "pair-translation",
        lambda: replace(
            pair(), draft=replace(pair().draft, decode=lambda ids: pair().draft.decode(ids).strip())
        ),
        "another text to the draft",
    ),
}
