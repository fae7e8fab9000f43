"""The cache folder behind what is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir

pytestmark = pytest.mark.usefixtures("own_cache")


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("ANYDRAFT_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    monkeypatch.setenv("HOME", "/c")
    assert cache_dir.root() == Path("/a")
    monkeypatch.delenv("ANYDRAFT_CACHE")
    assert cache_dir.root() == Path("/b/anydraft")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir.root() == Path("/c/.cache/anydraft")


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelFileError, match="ANYDRAFT_CACHE"):
        cache_dir.entry("a/b", lambda folder: None)


def test_what_killed_runs_left_is_swept_after_a_day(own_cache):
    cache_dir.entry("kind/one", lambda folder: None)
    old, new = own_cache / "kind" / ".partial-old", own_cache / "kind" / ".partial-new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (0, 0))
    cache_dir.entry("kind/two", lambda folder: None)
    assert sorted(p.name for p in (own_cache / "kind").iterdir()) == [".partial-new", "one", "two"]


@pytest.mark.parametrize("size", [0, 10, 3_000_000, 9_000_000])
def test_the_fingerprint_follows_the_content(tmp_path, size):
    content = bytearray(os.urandom(size))
    file = tmp_path / "f"
    file.write_bytes(content)
    first = cache_dir.fingerprint(file)
    os.utime(file, (1, 1))
    assert cache_dir.fingerprint(file) == first
    for place in {0, size - 1} if size else ():
        changed = bytearray(content)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert cache_dir.fingerprint(file) != first
    file.write_bytes(content + b"\0")
    assert cache_dir.fingerprint(file) != first
