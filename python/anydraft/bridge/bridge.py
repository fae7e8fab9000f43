"""Two tokenizers joined as bytes: tables, coverage, sessions, and a file that keeps the tables."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from anydraft import _core
from anydraft.bridge.file import BridgeFile
from anydraft.bridge.protocols import TokenizerOrFile
from anydraft.bridge.tables import ClassArrays, Tables
from anydraft.bridge.text import utf8
from anydraft.bridge.tokenizer_source import TokenizerSource
from anydraft.errors import BridgeFileError, PairError

_Pairs: TypeAlias = list[tuple[int, int]]


@dataclass(frozen=True)
class Coverage:
    """How much two vocabularies share, counted on tokens that stand for bytes."""

    shared: int
    """Distinct byte strings that are a token of both."""
    target_tokens: int
    draft_tokens: int
    target_shared: int
    """Target tokens whose bytes are a draft token."""
    draft_shared: int
    """Draft tokens whose bytes are a target token."""


@dataclass(frozen=True)
class Usage:
    """How much of a text each side writes with shared tokens, as fractions from 0 to 1."""

    target: float
    draft: float


class Bridge:
    """A target's and a draft's tokenizer, compared by bytes.

    Usable alone: it needs neither models nor torch. Immutable; threads may share it, and
    processes: it pickles. Building reads both
    tokenizers (about a second for 262k tokens); a bridge that was saved reads them when text is first
    translated.

    Raises:
        TokenizerError: a tokenizer that cannot be expressed in bytes.
    """

    def __init__(
        self,
        target_tokenizer: TokenizerOrFile | TokenizerSource,
        draft_tokenizer: TokenizerOrFile | TokenizerSource,
        *,
        to_target: Iterable[tuple[int, int]] = (),
        to_draft: Iterable[tuple[int, int]] = (),
    ) -> None:
        """Tokenizers: of transformers or tokenizers, a ``tiktoken.Encoding``, or a path.

        ``to_target`` holds pairs (draft id, target id) of control tokens that mean the same, for drafting;
        ``to_draft`` pairs (target id, draft id), for showing the target's text to the draft. Control tokens
        with equal contents are partners without being named.
        """
        self._sources = (
            TokenizerSource.of(target_tokenizer, "target"),
            TokenizerSource.of(draft_tokenizer, "draft"),
        )
        self._roles: tuple[_Pairs, _Pairs] = list(to_target), list(to_draft)
        self._lock = threading.RLock()  # an interrupt may leave it locked; this thread must go on
        self._core: _core.Bridge | None = None
        self._tables: Tables | None = None
        self._classes: ClassArrays | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the Rust side, which another process builds when text is first translated."""
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_core")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See :meth:`__getstate__`."""
        vars(self).update(state, _lock=threading.RLock(), _core=None)

    @property
    def core(self) -> _core.Bridge:
        """The Rust bridge; built at first use."""
        with self._lock:
            if self._core is None:
                target, draft = self._sources
                with ThreadPoolExecutor(2) as pool:
                    read = pool.submit(target.load), pool.submit(draft.load)
                sides = read[0].result(), read[1].result()
                self._fit(*sides)
                core = _core.Bridge(*sides, *self._roles)
                self._agree(core)
                self._core = core
            return self._core

    def _fit(self, target: _core.Tokenizer, draft: _core.Tokenizer) -> None:
        """Raise :class:`BridgeFileError` where tables that were read are for vocabularies of other sizes."""
        if self._tables is None:
            return
        got = len(self._tables.target_to_draft), len(self._tables.draft_to_target)
        if got != (len(target), len(draft)):
            raise BridgeFileError(
                f"got a saved bridge for {got[0]} target and {got[1]} draft tokens; expected "
                f"{len(target)} and {len(draft)}. Build the bridge again and save it."
            )

    def _agree(self, core: _core.Bridge) -> None:
        """Raise :class:`BridgeFileError` where tables that were read say otherwise than the tokenizers."""
        if self._tables is None:
            return
        built = _tables_of(core).arrays()
        for name, array in self._tables.arrays().items():
            if not np.array_equal(array, built[name]):
                raise BridgeFileError(
                    f"got a saved bridge whose {name} says otherwise than its tokenizers; expected what they "
                    "give. Build the bridge again and save it."
                )

    @property
    def target(self) -> _core.Tokenizer:
        """The target's tokenizer as bytes."""
        return self._sources[0].load()

    @property
    def draft(self) -> _core.Tokenizer:
        """The draft's tokenizer as bytes."""
        return self._sources[1].load()

    @property
    def tables(self) -> Tables:
        """The translation tables, as int64 arrays."""
        if self._tables is None:
            self._tables = _tables_of(self.core)
        return self._tables

    @property
    def classes(self) -> ClassArrays:
        """The tables of class coupling, as int64 arrays."""
        if self._classes is None:
            self._classes = ClassArrays(*self.core.spelling())
        return self._classes

    def pairs(self) -> list[tuple[int, int]]:
        """All pairs (target id, draft id) with equal bytes, duplicates included."""
        return self.core.pairs()

    def coverage(self) -> Coverage:
        """Overlap by count."""
        return Coverage(*self.core.coverage())

    def usage(self, text: str) -> Usage:
        """Overlap weighted by use: the share of each side's tokens of ``text`` that the other has too."""
        ids = []
        for side in (self.target, self.draft):
            stream = _core.Retokenizer(side)  # leaves out what a side cannot write
            stream.push(utf8(text, "a text"))
            ids.append(stream.ids())
        shared = self.core.shared_usage(*ids)
        target, draft = (count / max(len(side), 1) for count, side in zip(shared, ids, strict=True))
        return Usage(target, draft)

    def session(self, view: list[int] | None = None, prompt: list[int] | None = None) -> _core.Session:
        """One sequence: ``view`` is the draft's rendering of what comes first, ``prompt`` ids after it."""
        return _core.Session(self.core, view or [], prompt or [])

    @property
    def fingerprints(self) -> tuple[str, str]:
        """The target's and the draft's tokenizer, identified by what they are."""
        target, draft = self._sources
        return target.fingerprint, draft.fingerprint

    def check(
        self,
        target_tokenizer: TokenizerOrFile | TokenizerSource,
        draft_tokenizer: TokenizerOrFile | TokenizerSource,
    ) -> None:
        """Raise :class:`PairError` if the bridge was made of other tokenizers than these."""
        given = TokenizerSource.of(target_tokenizer, "target"), TokenizerSource.of(draft_tokenizer, "draft")
        for role, made_of, source in zip(("target", "draft"), self.fingerprints, given, strict=True):
            if source.fingerprint != made_of:
                raise PairError(
                    f"got a bridge made of another {role} tokenizer; expected one made of the tokenizers "
                    "given. Leave bridge= out, or build it again"
                )

    def save(self, path: str | Path) -> None:
        """Write the tables with both tokenizers' fingerprints (safetensors).

        Raises:
            BridgeFileError: it cannot be written there.
        """
        target, draft = self._sources
        arrays = self.tables.arrays() | self.classes.arrays()
        BridgeFile(target.fingerprint, draft.fingerprint, *self._roles, arrays).write(Path(path))

    @classmethod
    def load(
        cls, path: str | Path, target_tokenizer: TokenizerOrFile, draft_tokenizer: TokenizerOrFile
    ) -> Bridge:
        """A saved bridge, for the tokenizers it was made of.

        Raises:
            BridgeFileError: no bridge, a damaged one, one of another version or of other tokenizers.
        """
        names = [list(kind.__dataclass_fields__) for kind in (Tables, ClassArrays)]
        file = BridgeFile.read(Path(path), [*names[0], *names[1]])
        target = TokenizerSource.of(target_tokenizer, "target").like(file.target)
        draft = TokenizerSource.of(draft_tokenizer, "draft").like(file.draft)
        bridge = cls(target, draft, to_target=file.to_target, to_draft=file.to_draft)
        made_of = {"target": file.target, "draft": file.draft}
        for (role, expected), source in zip(made_of.items(), bridge._sources, strict=True):
            if source.fingerprint != expected:
                raise BridgeFileError(
                    f"got a {role} tokenizer with fingerprint {source.fingerprint}; {path} was made with "
                    f"{expected}. Build the bridge again with the tokenizers that you use now."
                )
        bridge._tables = Tables(*(file.arrays[name] for name in names[0]))
        bridge._classes = ClassArrays(*(file.arrays[name] for name in names[1]))
        return bridge


def _tables_of(core: _core.Bridge) -> Tables:
    return Tables(core.draft_to_target(), core.target_to_draft(), *core.expansion())
