"""What is asked of a ``llama_cpp.Llama`` object; the library itself is imported only where there is one."""

from __future__ import annotations

import sys
from typing import Any

from anydraft.errors import ModelError


def is_llama(model: object) -> bool:
    """Whether a user's model is a ``llama_cpp.Llama``; nothing is imported to tell."""
    library = sys.modules.get("llama_cpp")
    kind = getattr(library, "Llama", None)
    return isinstance(kind, type) and isinstance(model, kind)


def check(llama: Any) -> None:
    """Refuse a model that cannot speak token by token.

    Raises:
        ModelError: a model that is closed, has only its vocabulary, only makes embeddings, has an encoder, or
            does not write from left to right.
    """
    from llama_cpp import llama_cpp as api

    name = described(llama)
    if llama.model_params.vocab_only:
        raise ModelError(f"got {name} opened with vocab_only=True; expected one with its weights")
    if api.llama_model_has_encoder(llama.model):
        raise ModelError(f"got {name}, which has an encoder; expected a decoder-only model")
    if api.llama_model_is_diffusion(llama.model):
        raise ModelError(
            f"got {name}, a diffusion model; expected one that writes its text from left to right"
        )
    pooling = next((text for key, text in llama.metadata.items() if key.endswith(".pooling_type")), "0")
    causal = next((text for key, text in llama.metadata.items() if key.endswith(".attention.causal")), "true")
    if pooling != "0" or causal == "false":
        raise ModelError(f"got {name}, which makes embeddings of texts; expected a model that writes")


def described(llama: Any) -> str:
    """What the file is, in llama.cpp's own words.

    Raises:
        ModelError: it is closed.
    """
    if closed(llama):
        raise ModelError("got a Llama that was closed; expected an open one: make it anew")
    return str(llama._model.desc())


def closed(llama: Any) -> bool:
    """Whether :meth:`llama_cpp.Llama.close` was called."""
    return getattr(llama._model, "model", None) is None


def end_ids(llama: Any) -> list[int]:
    """The ids at which llama.cpp stops: its end-of-generation tokens, that of the text first."""
    from llama_cpp import llama_cpp as api

    vocab = llama._model.vocab
    found = [i for i in range(llama.n_vocab()) if api.llama_vocab_is_eog(vocab, i)]
    first = llama.token_eos()
    return sorted(found, key=lambda token: (token != first, token))


def keeps_a_state(llama: Any) -> bool:
    """Whether the model has a recurrent state, in some or in all of its layers."""
    from llama_cpp import llama_cpp as api

    return bool(api.llama_model_is_recurrent(llama.model) or api.llama_model_is_hybrid(llama.model))
