"""Ways in which the weights of a model may change, on models that all have them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import tiny

MAKERS: list[Callable[[], Any]] = [
    tiny.llama,
    lambda: tiny.llama(tie_word_embeddings=True),
    lambda: tiny.llama(attention_bias=True, mlp_bias=True),
    tiny.qwen2,
    tiny.qwen3,
    tiny.gemma3,
    tiny.olmo2,
]


def some(model: Any, *names: str) -> list[nn.Parameter]:
    return [value for name, value in model.named_parameters() if any(part in name for part in names)]


def noise(like: Tensor, size: float = 0.2) -> Tensor:
    return size * torch.randn(like.shape, generator=torch.Generator().manual_seed(3)).to(like)


@torch.no_grad()
def through_data(model: Any) -> None:
    for weight in model.parameters():
        weight.data += noise(weight)


@torch.no_grad()
def projections(model: Any) -> None:
    for weight in some(model, "q_proj", "down_proj"):
        weight.data += noise(weight)


@torch.no_grad()
def norms(model: Any) -> None:
    for weight in some(model, "norm"):
        weight.data += noise(weight)


@torch.no_grad()
def biases(model: Any) -> None:
    for weight in some(model, "bias"):
        weight.data += 1 + noise(weight)


@torch.no_grad()
def one_head(model: Any) -> None:
    model.model.layers[1].self_attn.v_proj.weight.data[16:32] += 0.3


@torch.no_grad()
def one_neuron(model: Any) -> None:
    model.model.layers[0].mlp.down_proj.weight.data[:, 5] = 3.0


@torch.no_grad()
def one_token(model: Any) -> None:
    model.lm_head.weight.data[40] *= -2


@torch.no_grad()
def counted(model: Any) -> None:
    for weight in model.parameters():
        weight.add_(noise(weight))


def loaded(model: Any) -> None:
    model.load_state_dict({name: value + noise(value) for name, value in model.state_dict().items()})


def loaded_anew(model: Any) -> None:
    state = {name: value + noise(value) for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)
    model.tie_weights()


def other_storage(model: Any) -> None:
    for weight in model.parameters():
        weight.data = weight.data + noise(weight)


def other_parameters(model: Any) -> None:
    for layer in model.model.layers:
        layer.self_attn.k_proj.weight = nn.Parameter(layer.self_attn.k_proj.weight.data * 1.5)
        layer.input_layernorm = copy.deepcopy(getattr(layer, "input_layernorm", None))


def another_dtype(model: Any) -> None:
    model.to(torch.float64)


OF_ANY = [through_data, norms, biases, loaded, other_storage]


CHANGES = [
    *((make, change) for make in MAKERS for change in OF_ANY),
    *(
        (make, change)
        for make in (tiny.llama, tiny.gemma3, tiny.olmo2)
        for change in (
            projections,
            one_head,
            one_neuron,
            one_token,
            counted,
            loaded_anew,
            other_parameters,
            another_dtype,
        )
    ),
]
