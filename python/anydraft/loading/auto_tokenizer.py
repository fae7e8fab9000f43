"""A folder's tokenizer as transformers reads it, and a light one as transformers would have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from anydraft.loading.dense import require_dense_folder
from anydraft.loading.light import LightTokenizer
from anydraft.loading.quiet import quiet
from anydraft.loading.reading import reading
from anydraft.loading.tokenizer_config import NAMED


def auto_tokenizer(folder: Path) -> Any:
    """What transformers' own choice of a class makes of a folder; none of its code is run.

    Raises:
        ModelFileError: no tokenizer that transformers can read, or one with ids far beyond its tokens.
    """
    with quiet(), reading(folder, "a tokenizer"):
        require_dense_folder(folder)
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)


def as_transformers(light: LightTokenizer) -> PreTrainedTokenizerFast:
    """The same tokenizer as a fast one of transformers."""
    made: Any = PreTrainedTokenizerFast
    named = {role: getattr(light, role) for role in NAMED if getattr(light, role) is not None}
    with quiet():
        whole: PreTrainedTokenizerFast = made(
            tokenizer_object=light.backend_tokenizer, clean_up_tokenization_spaces=False, **named
        )
    whole.chat_template = light.chat_template
    return whole
