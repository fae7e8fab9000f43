"""What the site has beside its pages: records of benches, the notebook as a page, narrow pictures."""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
RECORDS = "<!-- records -->"
"""Where a page wants all records of benches."""
IMAGE = re.compile(r'<img [^>]*src="(?P<path>[^"]*)\.svg"[^>]*>')
SMALL = "(max-width: 48em)"
"""As in ``docs/assets/site.css``."""


def on_config(config: MkDocsConfig) -> None:
    """Add to the guides what the navigation does not name yet."""
    named = set(_pages(config.nav))
    new = sorted(path.name for path in Path(config.docs_dir).glob("*.md") if path.name not in named)
    guides: list[Any] = next(entry["Guides"] for entry in config.nav or [] if "Guides" in entry)
    guides += new


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the notebook as a page."""
    notebook = json.loads((ROOT / "docs/tutorial.ipynb").read_text(encoding="utf-8"))
    files.append(File.generated(config, "tutorial.md", content=notebook_page(notebook)))


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the records where they are wanted."""
    return markdown.replace(RECORDS, records()) if RECORDS in markdown else markdown


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Offer a picture's narrow form, where there is one, to small screens."""
    here = PurePosixPath(page.file.src_uri).parent

    def offered(found: re.Match[str]) -> str:
        narrow = f"{found['path']}-narrow.svg"
        if files.get_file_from_path(posixpath.normpath(here / narrow)) is None:
            return found[0]
        return f'<picture><source media="{SMALL}" srcset="{narrow}">{found[0]}</picture>'

    return IMAGE.sub(offered, html)


def records() -> str:
    """All of ``benches/record/*.md``, newest first, one heading lower and otherwise as they are."""
    found = sorted((ROOT / "benches/record").glob("*.md"), reverse=True)
    return "\n\n".join(
        _lower(path.read_text(encoding="utf-8")) + f"\n\nFrom `benches/record/{path.name}`." for path in found
    )


def notebook_page(notebook: dict[str, Any]) -> str:
    """A notebook as Markdown: cells, and what they printed."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(_fenced("python", source))
        for output in cell["outputs"]:
            said = output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
            parts.append(_fenced("text", "".join(said).rstrip("\n")))
    parts.append("[The notebook](tutorial.ipynb), to be run by yourself.")
    return "\n\n".join(parts) + "\n"


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text}\n```"


def _lower(markdown: str) -> str:
    """Headings one level lower, those in fenced blocks left alone."""
    blocks = re.split(r"(^```.*?^```$)", markdown.strip(), flags=re.DOTALL | re.MULTILINE)
    return "".join(
        block if block.startswith("```") else re.sub(r"^#", "##", block, flags=re.MULTILINE)
        for block in blocks
    )


def _pages(nav: Any) -> list[str]:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in _pages(entry)]
