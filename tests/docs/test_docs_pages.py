"""Every page of the documentation is true: its Python runs, its commands run, what it names exists.

With tiny models in place of the packaged ones everything runs. With the real ones (marked ``real``) what an
example prints is compared with the ``text`` block that follows it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

import cli_models
import real
import real_pair
import small
from anydraft.cli.app import app
from anydraft.integrations.vllm import proposer as vllm
from anydraft.integrations.vllm.metrics import _COUNTERS
from anydraft.loading import folders

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ON_THEIR_OWN = {
    "class-coupling.md": "docs/test_docs_examples.py",
    "fuzzing.md": "docs/test_docs_fuzzing.py",
    "serve.md": "docs/test_docs_serve.py",
    "llama-cpp.md": "../tests_llama/test_docs.py",
    "transformers.md": "docs/test_docs_transformers.py",
}
"""Pages whose examples have a test of their own."""
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
needs_pair = pytest.mark.skipif(
    not (real.installed("gemma3") and real.installed("smollm2")), reason="no packaged models"
)


class Block(NamedTuple):
    language: str
    text: str
    said: str | None
    """The block of text that follows at once."""


def blocks(name: str) -> list[Block]:
    page = PAGES[name].read_text(encoding="utf-8")
    found = list(re.finditer(r"^```([\w-]*)[^\n]*\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE))
    made = []
    for i, here in enumerate(found):
        after = found[i + 1] if i + 1 < len(found) else None
        follows = after is not None and after[1] == "text" and not page[here.end() : after.start()].strip()
        made.append(Block(here[1], here[2], after[2] if after and follows else None))
    return made


def with_examples(*languages: str) -> list[str]:
    return [
        name
        for name in PAGES
        if name not in ON_THEIR_OWN and any(block.language in languages for block in blocks(name))
    ]


def run_page(name: str) -> list[tuple[str, str]]:
    """Run the page from top to bottom; what was said beside what the page says."""
    names: dict[str, Any] = {"__name__": name}
    compared = []
    for block in blocks(name):
        said = ""
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block.text, name, "exec"), names)
            said = out.getvalue()
        elif block.language == "sh":
            said = "".join(map(run_line, block.text.splitlines()))
        if block.said is not None:
            compared.append((said, block.said))
    return compared


def run_line(line: str) -> str:
    """Run a command of ours; of others see that what they name is there."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":
        assert re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), line
        for selected in re.findall(r"-k (\w+)", line):
            assert list((ROOT / "tests").rglob(f"*{selected}*.py")), line
    elif program == "python":
        assert (ROOT / arguments[0]).exists(), line
    elif program == "pip":
        asked = re.findall(r"anydraft\[(\w+)\]", line)
        assert asked, line
    else:
        assert program == "anydraft", line
        if "completion" in line:
            return ""
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "100", "NO_COLOR": "1"})
        assert result.exit_code in (0, 1), result.output
        assert not isinstance(result.exception, Exception), result.exception
        return result.stdout
    return ""


def settled(text: str) -> list[str]:
    """Lines without what a terminal's width leaves at their ends."""
    return [line.rstrip() for line in text.rstrip("\n").splitlines()]


@pytest.fixture
def tiny_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    target, draft = cli_models.save(tmp_path)
    other = tmp_path / "other-model"
    small.model(small.byte_level(300), seed=2).save_pretrained(other)
    small.byte_level(300).save_pretrained(other)
    (tmp_path / "big-model").symlink_to(target)
    (tmp_path / "small-model").symlink_to(draft)
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(folders, "packaged", {"gemma3": target, "smollm2": draft}.__getitem__)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", with_examples("python", "sh"))
def test_the_examples_run_on_tiny_models(name: str, tiny_models: Path) -> None:
    run_page(name)


def with_output() -> list[str]:
    examples = with_examples("python")
    return [name for name in examples if any(b.language in ("python", "sh") and b.said for b in blocks(name))]


@pytest.mark.real
@needs_pair
@pytest.mark.parametrize("name", with_output())
def test_the_examples_print_what_the_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "load_model" in PAGES[name].read_text(encoding="utf-8"):
        models = {folders.packaged(key): real_pair.model(key) for key in ("gemma3", "smollm2")}
        monkeypatch.setattr(folders, "load_model", models.__getitem__)
    monkeypatch.setattr("anydraft.planner.keep", lambda plan: None)
    ours = run_line
    monkeypatch.setattr(f"{__name__}.run_line", lambda line: ours(line) if " align " in line else "")
    monkeypatch.chdir(tmp_path)
    for folder, key in (("big-model", "gemma3"), ("small-model", "smollm2")):
        real_pair.tokenizer(key).save_pretrained(folder)
    for said, shown in run_page(name):
        if said:
            assert settled(said) == settled(shown)


@pytest.mark.parametrize("name", PAGES)
def test_links_files_and_targets_exist(name: str) -> None:
    page = PAGES[name].read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    links = {link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose) if "://" not in link}
    later = {"tutorial.md"}  # made from the notebook when the site is built
    missing = [link for link in links - later if not (PAGES[name].parent / link).exists()]
    assert missing == []
    named = set(re.findall(r"`((?:docs|tests|python|benches|rust)/[\w./-]+)`", prose))
    assert [path for path in named if not (ROOT / path).exists()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z0-9-]+)", prose):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_pages_with_a_test_of_their_own_have_one() -> None:
    for page, test in ON_THEIR_OWN.items():
        assert page in PAGES
        assert (ROOT / "tests" / test).exists()


def test_the_mistakes_named_are_made() -> None:
    controls = (ROOT / "tests/exactness/test_lossless_controls.py").read_text(encoding="utf-8")
    rows = [line for line in PAGES["lossless.md"].read_text().splitlines() if re.search(r"\| `[A-Z]", line)]
    assert len(rows) >= 6
    for name in re.findall(r"`([A-Z]\w+)`", "\n".join(rows)):
        assert f"class {name}(" in controls, name


def test_every_setting_and_metric_of_vllm_is_on_its_page() -> None:
    page = PAGES["vllm.md"].read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\|", page, flags=re.MULTILINE))
    assert list(shown) == [field.name for field in fields(vllm.Settings)]
    for field in fields(vllm.Settings):
        if field.name != "draft":
            assert ast.literal_eval(shown[field.name]) == field.default
    assert re.findall(r"^\| `anydraft:(\w+)` \|", page, flags=re.MULTILINE) == list(_COUNTERS)


def test_every_command_is_on_its_page() -> None:
    page = PAGES["command-line.md"].read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    missing = [name for name in group.commands if f"`anydraft {name}" not in page]  # type: ignore[attr-defined]
    assert missing == []


@cache
def literals() -> list[str]:
    """All that the package can say, … for what is filled in."""
    said = []
    for path in (ROOT / "python/anydraft").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                said.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.append(node.value)
    for path in (ROOT / "rust").rglob("src/*.rs"):
        texts = re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8"), flags=re.DOTALL)
        said += [re.sub(r"\{[^}]*\}", "…", re.sub(r"\\\n\s*", "", text)) for text in texts]
    return said


def quoted() -> list[str]:
    page = PAGES["troubleshooting.md"].read_text(encoding="utf-8")
    return re.findall(r"^### “(.*)”$", page, flags=re.MULTILINE)


def test_the_messages_quoted_are_in_the_code() -> None:
    assert len(quoted()) >= 30
    for message in quoted():
        assert any(message in text for text in literals()), message
