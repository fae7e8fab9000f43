"""The forward pass of common decoders, with no Python work per layer that can be avoided.

For a small model that work takes as long as the products: masks, wrappers and outputs are made in every layer
and pass. Here a model is read once into plain blocks, and a pass is a short list of tensor operations on the
model's own weights, cache and positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, silu
from transformers import DynamicCache, PreTrainedModel

from anydraft.models.fast.cpu_linear import NOWHERE, FusedLinear, Quicker
from anydraft.models.fast.fingerprint import Fingerprint
from anydraft.models.fast.layer import Block, Norm, Surroundings, stacked, through
from anydraft.models.fast.proof import near, proves
from anydraft.models.fast.rotary import GROWING, Rotary, rope_types
from anydraft.models.kv_cache import new_cache
from anydraft.models.weights import DraftWeights

_KNOWN = {
    "transformers.models.llama.modeling_llama": "LlamaForCausalLM",
    "transformers.models.mistral.modeling_mistral": "MistralForCausalLM",
    "transformers.models.qwen2.modeling_qwen2": "Qwen2ForCausalLM",
    "transformers.models.qwen3.modeling_qwen3": "Qwen3ForCausalLM",
    "transformers.models.gemma3.modeling_gemma3": "Gemma3ForCausalLM",
}
ARCHITECTURES = sorted(_KNOWN.values())
"""The classes of transformers that have a lean form."""

_ATTENTION = {"sdpa", "eager"}
"""What a user may have chosen where it is SDPA that is used."""


class Hidden(NamedTuple):
    """What a decoder returns."""

    last_hidden_state: Tensor


class Logits(NamedTuple):
    """What a model returns."""

    logits: Tensor


class LeanModel:
    """A model of :data:`_KNOWN` with its weights, called as the model is; made by :func:`lean_of`."""

    def __init__(self, model: PreTrainedModel, ways: Quicker, weights: DraftWeights) -> None:
        """Read the blocks of ``model``, whose weights are shared and, if ``weights`` says so, copied too."""
        decoder = model.model
        self.embed = decoder.embed_tokens
        self.dtype: torch.dtype = self.embed.weight.dtype
        self.device: torch.device = self.embed.weight.device
        self.rotary = Rotary(decoder)
        self.blocks = [
            _block(layer, decoder.config, i, getattr(cached, "window", None), ways, weights)
            for i, (layer, cached) in enumerate(zip(decoder.layers, new_cache(model).layers, strict=True))
        ]
        self.kinds = list(dict.fromkeys(block.kind for block in self.blocks))
        self.norm = _norm(decoder.norm)
        self._lm_head, self._ways, self._weights = model.lm_head, ways, weights
        self._cap = getattr(model.config, "final_logit_softcapping", None)
        copied = [tensor for block in self.blocks for tensor in block.copied]
        self.copied = [Fingerprint([*copied, *self.norm.made_of, *self.rotary.read])]
        """Of norms, and of all that there is a copy of; the other parameters are read at every pass."""

    def __call__(self, *, input_ids: Tensor, logits_to_keep: int = 0, **given: Any) -> Logits:
        """As the model: the logits of the last tokens, ``[B, logits_to_keep, V]``; of all if it is 0."""
        hidden = self.base_model(input_ids=input_ids, **given).last_hidden_state
        return Logits(self.logits(hidden[:, -logits_to_keep:]))

    @cached_property
    def _head(self) -> FusedLinear:
        """Packed when it is needed: a draft may have another head."""
        head = FusedLinear([self._lm_head], self._ways, self._weights)
        self.copied.append(Fingerprint(head.copied))
        return head

    def logits(self, hidden: Tensor) -> Tensor:
        """Of hidden states ``[B, n, h]`` after the last norm: ``[B, n, V]``."""
        (logits,) = self._head(hidden)
        return logits if self._cap is None else torch.tanh(logits / self._cap) * self._cap

    def base_model(
        self,
        *,
        input_ids: Tensor,
        past_key_values: DynamicCache,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | Mapping[str, Tensor] | None = None,
        **_: Any,
    ) -> Hidden:
        """As the model's decoder: hidden states ``[B, n, h]``; the cache takes the new keys and values.

        Without a mask, every row follows on what the cache holds; with one, positions say where tokens are.
        """
        hidden = self.embed(input_ids)
        kinds: dict[str, Surroundings] = {}
        for block, layer in zip(self.blocks, past_key_values.layers, strict=True):
            if block.kind not in kinds:
                kinds[block.kind] = self._surroundings(block, layer, hidden, position_ids, attention_mask)
            hidden = through(block, hidden, layer, kinds[block.kind])
        return Hidden(self.norm(hidden))

    def _surroundings(
        self, block: Block, layer: Any, like: Tensor, positions: Tensor | None, masks: Any
    ) -> Surroundings:
        n, window = like.shape[1], block.window
        count, first = layer.get_mask_sizes(n)
        end = first + count
        if masks is not None:
            mask = masks[block.kind] if isinstance(masks, Mapping) else masks
            rotation = self.rotary.at(like, block.kind, positions, end)
            return Surroundings(rotation, stacked(block, mask, like.dtype), causal=False)
        rotation = self.rotary.between(like, block.kind, end - n, end)
        if n == 1:
            return Surroundings(rotation, None, causal=False)
        if count == n and (window is None or n <= window):
            return Surroundings(rotation, None, causal=True)
        key = torch.arange(first, end, device=like.device)
        query = torch.arange(end - n, end, device=like.device)[:, None]
        seen = key <= query if window is None else (key <= query) & (key > query - window)
        return Surroundings(rotation, stacked(block, seen, like.dtype), causal=False)


def lean_of(
    model: PreTrainedModel,
    ways: Quicker,
    weights: DraftWeights,
    close: float | None = None,
    *,
    proven: bool = False,
) -> LeanModel | None:
    """The lean form of a model that is nothing but its modules; ``None`` if it has none.

    Only of architectures that are known, and proven to compute what the model does, but for what weights in
    bytes round; the logits of the whole must be near the model's own, ``close`` as a share of the largest.
    ``proven``: that was found before, with other weights in the same modules.
    """
    if _KNOWN.get(type(model).__module__) != type(model).__name__:
        return None
    if model.config._attn_implementation not in _ATTENTION or rope_types(model.model) & GROWING:
        return None
    exact: DraftWeights = "unpacked" if weights == "int8" else weights

    def small(part: PreTrainedModel) -> LeanModel:
        return LeanModel(part, ways if part.dtype == model.dtype else NOWHERE, exact)

    try:
        if not proven and not proves(model, small):
            return None
        lean = LeanModel(model, ways, weights)
        return lean if near(model, lean, close) else None
    except Exception:  # a model that cannot be tried runs itself, and says itself what is wrong
        return None


def _block(
    layer: Any, config: Any, i: int, window: int | None, ways: Quicker, weights: DraftWeights
) -> Block:
    attention, inner = layer.self_attn, layer.mlp
    size = attention.head_dim
    heads, groups = (part.out_features // size for part in (attention.q_proj, attention.k_proj))
    kinds = getattr(config, "layer_types", None)
    has_four = hasattr(layer, "pre_feedforward_layernorm")
    return Block(
        kind=kinds[i] if kinds else f"window {window}",
        window=window,
        heads=heads,
        groups=groups,
        scale=attention.scaling,
        before=_norm(layer.input_layernorm),
        query_key_value=FusedLinear([attention.q_proj, attention.k_proj, attention.v_proj], ways, weights),
        of_heads=_norm_of_heads(attention, heads, groups) if hasattr(attention, "q_norm") else None,
        out=FusedLinear([attention.o_proj], ways, weights),
        after=_norm(layer.post_attention_layernorm) if has_four else None,
        before_inner=_norm(layer.pre_feedforward_layernorm if has_four else layer.post_attention_layernorm),
        gate_up=FusedLinear([inner.gate_proj, inner.up_proj], ways, weights),
        activation=_activation(inner.act_fn),
        down=FusedLinear([inner.down_proj], ways, weights),
        after_inner=_norm(layer.post_feedforward_layernorm) if has_four else None,
    )


def _activation(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The function in a module that has nothing else, without the way to it."""
    if isinstance(module, nn.SiLU) or type(module).__name__ == "SiLUActivation":
        return silu
    return partial(gelu, approximate="tanh") if type(module).__name__ == "GELUTanh" else module


def _norm(module: Any) -> Norm:
    weight: Tensor = module.weight
    if not type(module).__name__.startswith("Gemma"):
        return Norm(weight, module.variance_epsilon, (weight,))
    wide = weight if weight.dtype == torch.float64 else weight.float()
    return Norm((1 + wide).detach(), module.eps, (weight,))  # what is added is too small for half precision


def _norm_of_heads(attention: Any, heads: int, groups: int) -> Norm:
    query, key = _norm(attention.q_norm), _norm(attention.k_norm)
    weight = torch.cat((query.weight.expand(heads, -1), key.weight.expand(groups, -1))).detach()
    return Norm(weight, query.eps, (attention.q_norm.weight, attention.k_norm.weight))
