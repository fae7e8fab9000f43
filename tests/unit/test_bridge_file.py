"""The file that a bridge keeps: comes back whole, or is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from safetensors import safe_open
from safetensors.numpy import save_file

from anydraft import Bridge, BridgeFileError
from anydraft.bridge.file import _checksum
from anydraft.bridge.tokenizer_source import TokenizerSource
from byte_tokenizers import as_tiktoken, byte_level


class TestFile:
    @pytest.fixture
    def saved(self, tmp_path: Path) -> Path:
        path = tmp_path / "pair.safetensors"
        Bridge(
            byte_level("he", "ll"), byte_level("he", "lo"), to_target=[(258, 258)], to_draft=[(258, 258)]
        ).save(path)
        return path

    def sides(self) -> tuple[tokenizers.Tokenizer, tokenizers.Tokenizer]:
        return byte_level("he", "ll"), byte_level("he", "lo")

    def test_comes_back_whole(self, saved: Path) -> None:
        fresh = Bridge(*self.sides(), to_target=[(258, 258)], to_draft=[(258, 258)])
        loaded = Bridge.load(saved, *self.sides())
        for kept, built in ((loaded.tables, fresh.tables), (loaded.classes, fresh.classes)):
            for name, array in built.arrays().items():
                assert np.array_equal(kept.arrays()[name], array)
                assert kept.arrays()[name].dtype == np.int64
                assert kept.arrays()[name].flags.writeable
        assert loaded.coverage() == fresh.coverage()
        assert loaded.pairs() == fresh.pairs()
        assert np.array_equal(loaded.core.draft_to_target(), loaded.tables.draft_to_target)
        assert loaded.session(prompt=[0]).commit([1], []) == fresh.session(prompt=[0]).commit([1], [])
        assert list(saved.parent.iterdir()) == [saved]

    def test_of_tiktoken_encodings(self, tmp_path: Path) -> None:
        Bridge(as_tiktoken(), byte_level("he")).save(tmp_path / "pair")
        assert Bridge.load(tmp_path / "pair", as_tiktoken(), byte_level("he")).coverage().shared == 257

    def test_survives_padding(self, saved: Path) -> None:
        """A tokenizer that was called with padding in between is the same tokenizer."""
        target, draft = self.sides()
        target.enable_padding(length=8)
        target.enable_truncation(4)
        assert Bridge.load(saved, target, draft).coverage().shared == 257

    def test_refuses_other_tokenizers(self, saved: Path) -> None:
        target, draft = self.sides()
        for sides, role in (
            ((draft, draft), "target"),
            ((target, target), "draft"),
            ((draft, target), "target"),
        ):
            with pytest.raises(BridgeFileError, match=f"got a {role} tokenizer .* Build the bridge again"):
                Bridge.load(saved, *sides)
        more = byte_level("he", "ll", controls=("<end>", "<more>"))
        with pytest.raises(BridgeFileError, match="target"):
            Bridge.load(saved, more, draft)

    def test_refuses_another_version(self, saved: Path) -> None:
        header, body = split(saved)
        header["__metadata__"]["format"] = "anydraft-bridge-999"
        join(saved, header, body)
        with pytest.raises(BridgeFileError, match=r"of format 'anydraft-bridge-999'; expected"):
            Bridge.load(saved, *self.sides())

    def test_refuses_what_is_no_bridge(self, tmp_path: Path) -> None:
        other = tmp_path / "other"
        save_file({"weight": np.zeros(3)}, str(other))
        with pytest.raises(BridgeFileError, match="of format None; expected"):
            Bridge.load(other, *self.sides())
        for content in (b"", b"\x00" * 100, b"{}", b"\xff" * 9):
            other.write_bytes(content)
            with pytest.raises(BridgeFileError, match="cannot be read as a bridge"):
                Bridge.load(other, *self.sides())
        with pytest.raises(BridgeFileError, match="cannot be read as a bridge"):
            Bridge.load(tmp_path / "missing", *self.sides())
        with pytest.raises(BridgeFileError, match="cannot be read as a bridge"):
            Bridge.load(tmp_path, *self.sides())

    def test_refuses_a_damaged_one(self, saved: Path) -> None:
        """Every cut, and a changed byte anywhere, is noticed or harmless."""
        whole = saved.read_bytes()
        fresh = Bridge.load(saved, *self.sides())
        for length in range(0, len(whole), max(1, len(whole) // 50)):
            saved.write_bytes(whole[:length])
            with pytest.raises(BridgeFileError):
                Bridge.load(saved, *self.sides())
        for at in range(0, len(whole), max(1, len(whole) // 300)):
            saved.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            try:
                loaded = Bridge.load(saved, *self.sides())
            except BridgeFileError:
                continue
            for name, array in fresh.tables.arrays().items():
                assert np.array_equal(loaded.tables.arrays()[name], array)

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("draft_to_target", lambda a: np.where(a == 3, 10**9, a)),
            ("draft_to_target", lambda a: np.where(a == 3, -2, a)),
            ("draft_to_target", lambda a: a.astype(np.int32)),
            ("draft_to_target", lambda a: a[None]),
            ("draft_to_target", lambda a: a[:-1]),
            ("target_to_draft", lambda a: np.where(a == 3, 10**9, a)),
            ("expansion_offsets", lambda a: a[::-1].copy()),
            ("expansion_offsets", lambda a: a + 1),
            ("expansion_ids", lambda a: a + 10**6),
            ("class_of", lambda a: a[1:]),
            ("class_of", lambda a: np.full_like(a, 2**62)),
            ("merge_ids", lambda a: np.concatenate((a, a, [0]))),
            ("crossing", lambda a: np.full_like(a, 10**6)),
            ("rest_offsets", lambda a: a - 1),
            ("to_target", lambda a: "9999999999:1"),
            ("to_target", lambda a: "-1:1"),
            ("to_draft", lambda a: "1:x"),
            ("to_draft", lambda a: "1"),
        ],
    )
    def test_refuses_tables_that_are_none_whatever_the_checksum(
        self, saved: Path, name: str, change: Any
    ) -> None:
        with safe_open(str(saved), "np") as file:
            metadata, arrays = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if name in arrays:
            arrays[name] = change(arrays[name])
        else:
            metadata[name] = change(metadata[name])
        del metadata["checksum"]
        metadata["checksum"] = _checksum(metadata, arrays)
        save_file(arrays, str(saved), metadata)
        with pytest.raises(BridgeFileError, match=r"no bridge|cannot be read"):
            Bridge.load(saved, *self.sides())

    @pytest.mark.parametrize("name", ["draft_to_target", "target_to_draft", "expansion_ids"])
    def test_refuses_tables_that_say_otherwise_than_the_tokenizers(self, saved: Path, name: str) -> None:
        """All entries are ids, and the checksum is right: seen when the tokenizers are read."""
        with safe_open(str(saved), "np") as file:
            metadata, arrays = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        arrays[name] = np.where(arrays[name] == 3, 4, arrays[name])
        del metadata["checksum"]
        metadata["checksum"] = _checksum(metadata, arrays)
        save_file(arrays, str(saved), metadata)
        bridge = Bridge.load(saved, *self.sides())
        with pytest.raises(BridgeFileError, match=f"whose {name} says otherwise"):
            bridge.session()

    def test_refuses_class_tables_that_contradict_each_other(self, saved: Path) -> None:
        """All entries are ids of the right class; one is named twice."""
        with safe_open(str(saved), "np") as file:
            metadata, arrays = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        shared = np.flatnonzero(arrays["draft_to_target"] >= 0)
        draft = next(d for d in shared if arrays["class_of"][arrays["draft_to_target"][d]] == d)
        arrays["crossing"][draft] = arrays["draft_to_target"][draft]
        del metadata["checksum"]
        metadata["checksum"] = _checksum(metadata, arrays)
        save_file(arrays, str(saved), metadata)
        with pytest.raises(BridgeFileError, match="named in two ways"):
            Bridge.load(saved, *self.sides())

    def test_refuses_tables_of_other_sizes(self, saved: Path) -> None:
        """They agree with each other, and the fingerprints are right: seen when the tokenizers are read."""
        other = saved.with_name("other")
        Bridge(byte_level("he", "ll", "lo"), byte_level("he", "lo")).save(other)
        with safe_open(str(saved), "np") as file:
            metadata = file.metadata()
        with safe_open(str(other), "np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        del metadata["checksum"]
        metadata["checksum"] = _checksum(metadata, arrays)
        save_file(arrays, str(saved), metadata)
        bridge = Bridge.load(saved, *self.sides())
        with pytest.raises(BridgeFileError, match="got a saved bridge for 260 target"):
            bridge.session()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(BridgeFileError, match="cannot write"):
            Bridge(*self.sides()).save(tmp_path / "no" / "pair")

    def test_the_second_start_builds_nothing(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tables and classes come from the file; tokenizers are read when text is first translated."""
        fresh = Bridge(*self.sides(), to_target=[(258, 258)], to_draft=[(258, 258)])
        tables, classes = fresh.tables, fresh.classes

        def forbidden(*_: object) -> None:
            raise AssertionError("built again")

        monkeypatch.setattr(TokenizerSource, "load", forbidden)
        loaded = Bridge.load(saved, *self.sides())
        assert np.array_equal(loaded.tables.draft_to_target, tables.draft_to_target)
        assert np.array_equal(loaded.classes.class_of, classes.class_of)
        with pytest.raises(AssertionError, match="built again"):
            loaded.session()


def split(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def join(path: Path, header: dict, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
