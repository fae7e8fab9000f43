"""ARCHITECTURE.md's table of packages, held against the sources: who may import whom, and no circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "python"
CORE = "_core"
LIBRARIES = {"torch", "transformers", "tokenizers", "hypothesis", "typer", "rich", "llama_cpp"}
LIBRARIES |= {"starlette", "uvicorn", "pydantic"}
"""Those that only some packages may import."""


class Row(NamedTuple):
    """What a package imports, by the table."""

    packages: set[str]
    libraries: set[str]


def table() -> dict[str, Row]:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        cells = [re.findall(r"`([\w/]+)`", cell) for cell in line.split("|")[1:-1]]
        if len(cells) == 3 and len(cells[0]) == 1:
            found[cells[0][0]] = Row(set(cells[1]), set(cells[2]))
    return found


TABLE = table()


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for path in sorted((SOURCES / "anydraft").rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """Everything imported anywhere in a file: modules of ours as such, and libraries."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found.add(inside if inside in FILES or inside == f"anydraft.{CORE}" else node.module)
    return found


IMPORTS = {name: imports(path) for name, path in FILES.items()}


def package(name: str) -> str:
    """The package of the table that a module belongs to: the longest that fits."""
    inside = name.removeprefix("anydraft.").replace(".", "/")
    fits = [known for known in (*TABLE, CORE) if inside == known or inside.startswith(f"{known}/")]
    return max(fits, key=len, default="")


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """A circle in ``graph``, if there is one."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for following in graph.get(node, ()):
            found = walk(following, [*way, node])
            if found:
                return found
        done.add(node)
        return []

    return next((found for node in graph if (found := walk(node, []))), [])


def ours(name: str) -> set[str]:
    return {other for other in IMPORTS[name] if other in FILES or other == f"anydraft.{CORE}"} - {"anydraft"}


def test_every_module_is_in_a_package_of_the_table() -> None:
    bare = {"anydraft", "anydraft.integrations"}
    assert [name for name in FILES if name not in bare and not package(name)] == []


def test_few_modules_lie_at_the_top() -> None:
    top = [path.stem for path in (SOURCES / "anydraft").glob("*.py") if path.stem != "__init__"]
    assert len(top) <= 5, top


@pytest.mark.parametrize("name", TABLE)
def test_a_package_imports_what_the_table_says(name: str) -> None:
    members = [module for module in FILES if package(module) == name]
    assert members, f"there is no package {name}"
    used = {package(other) for module in members for other in ours(module)} - {name}
    libraries = {other.split(".")[0] for module in members for other in IMPORTS[module]} & LIBRARIES
    assert used == TABLE[name].packages
    assert libraries == TABLE[name].libraries


def test_no_package_is_in_a_circle() -> None:
    assert circle({name: row.packages for name, row in TABLE.items()}) == []


def test_no_module_is_in_a_circle() -> None:
    assert circle({name: ours(name) for name in FILES if name != "anydraft"}) == []


def test_a_circle_is_found() -> None:
    assert circle({"a": ["b"], "b": ["c"], "c": ["d", "b"], "d": []}) == ["b", "c", "b"]


@pytest.mark.parametrize("name", [name for name in FILES if package(name) in {"proposers", "decoding"}])
def test_the_loop_and_the_proposers_know_models_by_their_protocol(name: str) -> None:
    if name == "anydraft.proposers.draft_head":  # which makes models
        return
    known = {other for other in ours(name) if package(other).startswith("models")}
    assert known <= {f"anydraft.models.{part}" for part in ("base", "joint", "ahead", "in_order")}
