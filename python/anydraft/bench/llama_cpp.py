"""llama.cpp as a contender: its own ``generate``, plain or with its own prompt lookup."""

from __future__ import annotations

import ctypes
import logging
import time
from pathlib import Path
from typing import Any, Literal

from anydraft.bench.contenders import Run
from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir

Kind = Literal["f16", "q4_0"]
"""Numbers of 16 bits, or of 4 with a scale for every 32."""


class LlamaAlone:
    """``Llama.generate`` on a Llama of its own, opened as the target was; its weights are mapped once."""

    def __init__(self, llama: Any, *, lookup: bool = False) -> None:
        """``lookup``: with llama-cpp-python's prompt lookup, its only draft."""
        from llama_cpp import Llama
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

        options = {name: value for name, value in llama.__getstate__().items() if name != "draft_model"}
        if lookup:  # it keeps the logits of n_batch tokens only, unless it is told to keep all
            options |= {"draft_model": LlamaPromptLookupDecoding(num_pred_tokens=5), "logits_all": True}
        self._llama: Any = Llama(**options)

    def __call__(self, ids: list[int], tokens: int, temperature: float, seed: int) -> Run:
        """Continue ``ids``, up to an end token."""
        from llama_cpp import llama_cpp as api

        self._llama.reset()
        self._llama.set_seed(seed + 1)  # 0 would be any
        out: list[int] = []
        began = 0.0
        vocab = self._llama._model.vocab
        law = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "temp": temperature}
        for token in self._llama.generate(ids, **law):
            out.append(token)
            if len(out) == 1:
                began = time.perf_counter()
            if len(out) == tokens or api.llama_vocab_is_eog(vocab, token):
                break
        return Run(out, time.perf_counter() - began, len(out) - 1)


def converted(path: Path, kind: Kind) -> Path:
    """A GGUF file in another format of numbers, made by llama.cpp once and kept in the cache folder.

    Raises:
        ModelFileError: llama.cpp cannot convert it.
    """
    from llama_cpp import llama_cpp as api

    def make(folder: Path) -> None:
        logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)  # a line for every tensor
        params = api.llama_model_quantize_default_params()
        params.ftype = {"f16": api.LLAMA_FTYPE_MOSTLY_F16, "q4_0": api.LLAMA_FTYPE_MOSTLY_Q4_0}[kind]
        params.allow_requantize = True
        code = api.llama_model_quantize(str(path).encode(), str(folder / name).encode(), ctypes.byref(params))
        if code:
            raise ModelFileError(f"got {path}, which llama.cpp cannot convert to {kind}: it gave {code}")

    name = f"{path.stem}-{kind}.gguf"
    return cache_dir.entry(f"gguf/{path.stem}-{cache_dir.fingerprint(path)}-{kind}", make) / name
