"""llama.cpp as a contender: its own ``generate``, plain or with its own prompt lookup."""

from __future__ import annotations

import time
from typing import Any

from anydraft.bench.contenders import Run


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
