"""Who may import whom: ARCHITECTURE.md's rules, read from the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "python"
LAYERS = [
    {
        "_core",
        "errors",
        "paths",
        "text",
        "stats",
        "sampling",
        "pairs",
        "tables",
        "timing",
        "expectation",
        "rounds",
        "lookahead",
        "mixture",
        "plans",
    },
    {
        "streaming",
        "stopping",
        "asynchronous",
        "prompts",
        "tokenizer_source",
        "verification",
        "bridge_file",
        "bridge",
        "transfer",
        "in_order",
    },
    {"models"},
    {"drafting"},
    {"row", "committed", "caches", "walking", "decoding", "draft_head", "plan_store", "reference"},
    {"speculator", "conversation", "planner", "serving", "drafts", "shrink"},
    {"training", "bench"},
    {"integrations"},
    {"doctor"},
    {"testing"},
    {"cli"},
]
"""From the lowest: a module imports from its own layer and from those below."""
ONLY = {
    "anydraft._core": {"anydraft", "anydraft.bridge", "anydraft.tokenizer_source", "anydraft.testing"},
    "transformers": {"anydraft.models", "anydraft.integrations", "anydraft.training", "anydraft.bench"},
    "tokenizers": {"anydraft.models", "anydraft.testing", "anydraft.training"},
    "hypothesis": {"anydraft.testing"},
    "typer": {"anydraft.cli"},
    "rich": {"anydraft.cli"},
    "torch": {
        f"anydraft.{name}"
        for name in (
            "sampling",
            "verification",
            "transfer",
            "in_order",
            "models",
            "drafting",
            "row",
            "committed",
            "caches",
            "decoding",
            "walking",
            "draft_head",
            "integrations",
            "planner",
            "serving",
            "stopping",
            "speculator",
            "reference",
            "training",
            "bench",
            "cli",
        )
    },
}
"""Who may import what, packages with all their modules."""


def imports(path: Path) -> set[str]:
    """Everything imported anywhere in a file; ``from anydraft import x`` counts as ``anydraft.x`` too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): imports(path)
    for path in sorted(ROOT.rglob("*.py"))
}


def inside(name: str, package: str) -> bool:
    return name == package or (package != "anydraft" and name.startswith(package + "."))


def layer(name: str) -> int:
    part = name.split(".")[1]
    return next((i for i, names in enumerate(LAYERS) if part in names), -1)


def test_every_module_has_a_layer() -> None:
    assert [name for name in MODULES if name != "anydraft" and layer(name) < 0] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name != "anydraft"])
def test_imports_go_down(name: str) -> None:
    above = [
        other for other in MODULES[name] & set(MODULES) if other != "anydraft" and layer(other) > layer(name)
    ]
    assert above == []


@pytest.mark.parametrize("package", ONLY)
def test_a_package_is_imported_where_it_belongs(package: str) -> None:
    users = {name for name, found in MODULES.items() if any(inside(other, package) for other in found)}
    assert {user for user in users if not any(inside(user, allowed) for allowed in ONLY[package])} == set()


@pytest.mark.parametrize(
    "name",
    [name for name in MODULES if inside(name, "anydraft.drafting")]
    + ["anydraft.row", "anydraft.caches", "anydraft.decoding"],
)
def test_the_loop_and_the_strategies_know_models_by_their_protocol(name: str) -> None:
    known = {other for other in MODULES[name] & set(MODULES) if inside(other, "anydraft.models")}
    assert known <= {"anydraft.models", "anydraft.models.protocol", "anydraft.models.together"}
