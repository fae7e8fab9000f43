"""The site builds strictly and needs no other host; its pictures and notebook are those that code makes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import real
import real_pair

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PARTS = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers.python")
has_pair = real.installed("gemma3") and real.installed("smollm2")


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not all(map(installed, PARTS)):
        pytest.skip("the extra docs is not installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        build, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Fetched(HTMLParser):
    """What a browser fetches when it shows a page, and the links within the site."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.ids |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a":
            self.links.append(known.get("href", ""))
        elif tag == "link" and known.get("rel") not in ("prev", "next", "canonical"):
            self.fetched.append(known["href"])
        else:
            self.fetched += [known[name] for name in ("src", "data", "poster") if name in known]


def read(page: Path) -> Fetched:
    parser = Fetched()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 20
    for page in pages:
        fetched = read(page).fetched
        assert fetched
        for url in fetched:
            assert "//" not in url, (page.name, url)
            assert (page.parent / url.partition("?")[0]).exists() or page.name == "404.html", (page.name, url)
    for style in site.rglob("*.css"):
        assert re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*", style.read_text(encoding="utf-8")) == []


def test_links_lead_somewhere(site: Path) -> None:
    pages = {page: read(page) for page in site.rglob("*.html") if page.name != "404.html"}
    for page, parsed in pages.items():
        for link in parsed.links:
            path, _, anchor = link.partition("#")
            if "://" in link or not link:
                continue
            target = (page.parent / path).resolve() if path else page
            assert target.exists() or (target / "index.html").exists(), (page.name, link)
            if anchor and target in pages and anchor != "__codelineno":
                assert anchor in pages[target].ids, (page.name, link)


def test_every_record_is_on_the_page(site: Path) -> None:
    page = (site / "benchmarks.html").read_text(encoding="utf-8")
    for record in (ROOT / "benches/record").glob("*.md"):
        assert record.name in page


@pytest.mark.parametrize(
    ("page", "picture"),
    [
        ("index.html", "images/round"),
        ("methods.html", "images/acceptance"),
        ("bridge.html", "images/bridge"),
        ("class-coupling.html", "images/class-coupling"),
        ("drafts/tiny.html", "tiny"),
    ],
)
def test_small_screens_are_offered_a_picture_that_fits(site: Path, page: str, picture: str) -> None:
    said = (site / page).read_text(encoding="utf-8")
    offered = re.findall(
        r'<source media="\(max-width: 48em\)" srcset="([^"]*)"><img [^>]*src="([^"]*)"', said
    )
    assert offered == [(f"{picture}-narrow.svg", f"{picture}.svg")]
    narrow = (site / page).parent / offered[0][0]
    assert 'viewBox="0 0 376 ' in narrow.read_text(encoding="utf-8")


def assert_drawn(program: str, kept: Path, made: Path) -> None:
    """A program draws the picture that is kept, and its narrow form if it draws one."""
    subprocess.run(
        [sys.executable, str(DOCS / "images" / program), str(made / kept.name)],
        check=True,
        capture_output=True,
    )
    names = sorted(path.name for path in made.iterdir())
    assert any(name.endswith("-narrow.svg") for name in names)
    for name in names:
        again = (made / name).read_text(encoding="utf-8")
        assert again == kept.with_name(name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("name", ["round", "acceptance", "class-coupling"])
def test_the_picture_is_the_one_that_is_drawn(name: str, tmp_path: Path) -> None:
    assert_drawn(f"draw_{name.replace('-', '_')}.py", DOCS / f"images/{name}.svg", tmp_path)


def test_the_narrow_picture_of_the_loss_is_the_one_that_is_drawn(tmp_path: Path) -> None:
    assert_drawn("draw_loss.py", DOCS / "drafts/tiny-narrow.svg", tmp_path)


@pytest.mark.real
@pytest.mark.skipif(not has_pair, reason="no packaged models")
def test_the_picture_of_real_tokenizers_is_the_one_that_is_drawn(tmp_path: Path) -> None:
    assert_drawn("draw_bridge.py", DOCS / "images/bridge.svg", tmp_path)


def notebook_code() -> list[str]:
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def test_the_notebook_has_the_cells_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "examples"))
    import make_notebook

    assert notebook_code() == [text for _, text in make_notebook.cells()]


@pytest.mark.real
@pytest.mark.skipif(not has_pair, reason="no packaged models")
def test_the_notebook_prints_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    from anydraft.loading import folders

    models = {folders.packaged(name): real_pair.model(name) for name in ("gemma3", "smollm2")}
    monkeypatch.setattr(folders, "load_model", models.__getitem__)
    monkeypatch.syspath_prepend(str(DOCS / "examples"))
    import make_notebook

    assert make_notebook.notebook() == (DOCS / "tutorial.ipynb").read_text(encoding="utf-8")
