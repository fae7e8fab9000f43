"""Makes package data and a card of a trained draft.

    python recipes/pack.py FOLDER tiny

Quantises the model into python/anydraft/drafts/, measures what is in there now for both packaged targets, and
writes docs/drafts/ with the record that the card's numbers are from.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from anydraft import drafts
from anydraft.loading.folders import load_model, load_tokenizer, packaged
from anydraft.loading.quantised import save_quantised
from anydraft.training.card import card
from anydraft.training.measure import measure
from anydraft.training.record import Record, curve_svg

ROOT = Path(__file__).parents[1]
TARGETS = {"SmolLM2-135M-Instruct": "smollm2", "Gemma-3-270M": "gemma3"}
PROMPTS, TOKENS = 4, 48


def main() -> None:
    """Pack, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", choices=drafts.NAMES)
    parser.add_argument("--keep-model", action="store_true", help="only measure what is packed already")
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    given = parser.parse_args()
    data, docs = ROOT / "python/anydraft/drafts" / given.name, ROOT / "docs/drafts"
    if not given.keep_model:
        model, tokenizer = load_model(given.folder), load_tokenizer(given.folder)
        shutil.rmtree(data, ignore_errors=True)
        save_quantised(model, data)
        tokenizer.save_pretrained(data)
        _compact(data / "tokenizer.json")
    record = Record.load(given.folder / "training/record.json")
    draft = drafts.load(given.name)
    record.target = "SmolLM2-135M-Instruct"
    record.measured = {}
    for title, package in TARGETS.items():
        path = packaged(package)  # type: ignore[arg-type]
        record.measured[title] = measure(
            load_model(path), load_tokenizer(path), *draft, prompts=given.prompts, new_tokens=TOKENS, seed=1
        )
    docs.mkdir(parents=True, exist_ok=True)
    record.save(docs / f"{given.name}.json")
    (docs / f"{given.name}.svg").write_text(curve_svg(record.curve), encoding="utf-8")
    (docs / f"{given.name}.md").write_text(card(given.name, record), encoding="utf-8")


def _compact(path: Path) -> None:
    """The same JSON without its spaces: a third of its size."""
    path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
