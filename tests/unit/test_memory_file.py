"""A memory in a file: whole or not at all, for its owner alone, and refused if anything of it is wrong."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from anydraft import ArgumentError, Memory, MemoryFileError
from anydraft.memory import file as module
from anydraft.memory.lookup import Lookup

TEXTS = ["The quick brown fox jumps over the lazy dog.", "Ça va? Ça va bien, merci.", "1234567890" * 30]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    memory = Memory(4096)
    for text in TEXTS:
        memory.add(text)
    assert [memory.number_decode(), memory.number_decode()] == [1, 2]
    memory.save(tmp_path / "texts.memory")
    return tmp_path / "texts.memory"


def test_what_was_saved_is_found_again(saved: Path) -> None:
    memory = Memory.load(saved)
    assert (len(memory), memory.bytes) == (3, sum(len(text.encode()) for text in TEXTS))
    assert memory.max_bytes == 4096
    assert Lookup(b"quick brown ", memory).continuations(3)[0].data == b"fox"
    assert memory._core.decodes() == 2
    memory.add(TEXTS[0])  # which is there
    assert len(memory) == 3
    again = saved.with_name("again")
    memory.save(again)
    assert again.read_bytes() == saved.read_bytes()


def test_texts_of_a_file_are_added_to_what_is_there(saved: Path) -> None:
    memory = Memory(2048)
    memory.add("something else that was said")
    memory.read(saved)
    assert (len(memory), memory.max_bytes, memory.number_decode()) == (4, 2048, 3)


def test_of_a_smaller_one_the_latest_is_kept(saved: Path) -> None:
    memory = Memory.load(str(saved), max_bytes=1024)
    assert (len(memory), memory.max_bytes) == (3, 1024)
    with pytest.raises(ArgumentError, match="max_bytes"):
        Memory.load(saved, max_bytes=1)


def test_an_empty_one_can_be_saved(tmp_path: Path) -> None:
    Memory().save(tmp_path / "empty")
    assert len(Memory.load(tmp_path / "empty")) == 0


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_only_its_owner_may_read_it(saved: Path) -> None:
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    saved.chmod(0o644)
    Memory().save(saved)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_leaves_what_was_there(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(*_: object) -> bytes:
        raise OSError("no space left")

    monkeypatch.setattr(module, "_digest", full)  # called when the file has been made
    with pytest.raises(MemoryFileError, match="no space left"):
        Memory().save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MemoryFileError, match="cannot write"):
        Memory().save(tmp_path / "none" / "file")
    with pytest.raises(MemoryFileError, match="cannot read"):
        Memory.load(tmp_path / "none" / "file")
    with pytest.raises(MemoryFileError, match="no file"):
        Memory.load(tmp_path)


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 250, "file/inside"])
def test_a_path_that_can_be_no_file_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    path = tmp_path / name if name else Path()
    with pytest.raises(MemoryFileError, match="cannot write"):
        Memory().save(path)
    assert (tmp_path / "file").read_text() == "mine"


def test_every_changed_byte_and_every_cut_is_refused(saved: Path) -> None:
    whole = saved.read_bytes()
    for i in range(len(whole)):
        saved.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(MemoryFileError):
            Memory.load(saved)
        saved.write_bytes(whole[:i])
        with pytest.raises(MemoryFileError):
            Memory.load(saved)
    saved.write_bytes(whole + b"\0")
    with pytest.raises(MemoryFileError, match="length"):
        Memory.load(saved)


def forged(path: Path, max_bytes: int, size: int, lengths: list[int], text: bytes) -> None:
    """A file whose checksum is right."""
    numbers = module._NUMBERS.pack(max_bytes, 0, size, len(lengths))
    packed = b"".join(map(module._LENGTH.pack, lengths))
    path.write_bytes(module.MAGIC + numbers + module._digest(numbers, packed, text) + packed + text)


@pytest.mark.parametrize(
    ("max_bytes", "size", "lengths", "text"),
    [
        (4096, 8, [4, 5], b"12345678"),
        (4096, 8, [8, 0], b"12345678"),
        (4096, 8, [], b"12345678"),
        (4096, 0, [0], b""),
        (1, 8, [8], b"12345678"),
        (2**40, 8, [8], b"12345678"),
        (1024, 2000, [2000], b"." * 2000),
        (2**30, 2**30, [2**30], b"."),
    ],
)
def test_one_that_does_not_add_up_is_refused(
    tmp_path: Path, max_bytes: int, size: int, lengths: list[int], text: bytes
) -> None:
    forged(tmp_path / "file", max_bytes, size, lengths, text)
    with pytest.raises(MemoryFileError, match="damaged"):
        Memory.load(tmp_path / "file")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    forged(path, 2**30, 8, [8], b"12345678")
    with path.open("ab") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(MemoryFileError, match="length"):
        Memory.load(path)


def test_another_version_is_told(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes().replace(b"memory-1", b"memory-2"))
    with pytest.raises(MemoryFileError, match="another version"):
        Memory.load(saved)
