"""Versions and bounds that are written in several places are the same in all of them."""

from __future__ import annotations

import re
from pathlib import Path

import anydraft

ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def bounds(text: str) -> dict[str, str]:
    """Package to version, of ``name>=version`` and ``name==version``."""
    found = re.findall(r'^\s*(?:- )?"?([a-z][\w-]+) ?[>=]=([\d.]+)', text, flags=re.MULTILINE)
    return {name.replace("_", "-"): version for name, version in found}


def same(one: str, other: str) -> bool:
    """Whether two versions are equal but for zeros at the end."""
    return re.sub(r"(\.0)+$", "", one) == re.sub(r"(\.0)+$", "", other)


def test_one_version() -> None:
    version = re.search(r'^version = "(.+)"', read("Cargo.toml"), flags=re.MULTILINE)
    assert version is not None
    assert f"version: {version[1]}\n" in read("CITATION.cff")
    assert f'version: "{version[1]}"' in read("recipes/conda/recipe.yaml")
    assert anydraft.__version__ == version[1]


def test_the_lower_bounds_are_the_versions_that_are_tried() -> None:
    project = read("pyproject.toml").partition("\ndependencies = [")[2].partition("\n]")[0]
    wanted, tried = bounds(project), bounds(read("requirements/minimum.txt"))
    assert set(wanted) == set(tried)
    assert len(wanted) >= 8
    for name, version in wanted.items():
        assert same(version, tried[name]), name


def test_condas_recipe_asks_for_the_same() -> None:
    project = read("pyproject.toml").partition("\ndependencies = [")[2].partition("\n]")[0]
    recipe = read("recipes/conda/recipe.yaml").partition("  run:\n")[2].partition("run_constraints")[0]
    assert bounds(recipe) == bounds(project)


def test_actions_are_pinned_to_commits() -> None:
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
        assert used
        assert [one for one in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", one)] == []
