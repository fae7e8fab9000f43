"""Ids in proportion to tokens, looked at before a library takes memory for each up to the largest."""

from __future__ import annotations

import json
import re
from pathlib import Path

from anydraft.errors import ModelFileError
from anydraft.loading.reading import reading

MOST_IDS = 1 << 20
"""So many ids are always read, as in the core."""
_SPARSEST = 4
"""Ids for every token in a larger vocabulary, as in the core."""
_LARGE = re.compile(rb":\s*(\d{7,})\b")


def require_dense(file: Path) -> None:
    """Refuse a ``tokenizer.json`` with ids far beyond its tokens before the tokenizers library reads it.

    The library takes memory for every id up to the largest; the bounds are those of the core. A file is only
    parsed for this if some number in it is that large.

    Raises:
        ModelFileError: there is such an id.
    """
    with reading(file, "a tokenizer"):
        content = file.read_bytes()
        if all(int(found) < MOST_IDS for found in _LARGE.findall(content)):
            return
        data = json.loads(content)
        vocab = data["model"]["vocab"]
        ids = [i for i in vocab.values() if isinstance(i, int)] if isinstance(vocab, dict) else []
        largest = max([*ids, *(token["id"] for token in data.get("added_tokens") or ())], default=0)
    if largest >= max(MOST_IDS, _SPARSEST * len(vocab)):
        raise ModelFileError(
            f"got {file}, with the id {largest} in a vocabulary of {len(vocab)} tokens; expected ids near "
            "the number of tokens. The file is damaged, or made to take memory"
        )
