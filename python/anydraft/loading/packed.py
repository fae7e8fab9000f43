"""GGUF files at their own size: matrices stay the blocks that the file has, and are unpacked in each pass.

transformers keeps blocks only where it has a kernel for them, which no CPU has. Here a matrix is unpacked by
the ``gguf`` package, some rows at a time, in every pass: that takes time, but no memory.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel
from transformers import modeling_gguf_pytorch_utils as legacy

from anydraft.errors import ModelFileError
from anydraft.loading.gguf_header import TensorPlace, read_header
from anydraft.loading.progress import Progress
from anydraft.loading.reading import require_whole

_AT_ONCE = 1 << 22
"""Numbers that are unpacked at once."""

_MODEL: Any = AutoModelForCausalLM
_READ: Any = legacy
_SAFE = {"TensorProcessor", "LlamaTensorProcessor", "Gemma2TensorProcessor"}
"""What transformers does to matrices on the way: nothing, or it moves rows, which are whole blocks."""


class _Packed(nn.Module):
    """A matrix ``[rows, columns]`` as blocks of bytes ``[rows, bytes]``."""

    weight: Tensor

    def __init__(self, blocks: Tensor, kind: Any, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(blocks, requires_grad=False)
        self.kind = kind
        self.columns = columns

    def rows(self, blocks: Tensor) -> Tensor:
        """float32 ``[n, columns]``: rows, unpacked."""
        from gguf import quants

        if blocks.device.type != "cpu":
            raise ModelFileError(
                f"got packed weights on {blocks.device}; expected them on a CPU. Load the file with a dtype "
                "for another device"
            )
        return torch.from_numpy(quants.dequantize(blocks.numpy(), self.kind))

    def extra_repr(self) -> str:
        """How it is shown."""
        return f"{len(self.weight)}, {self.columns}, {self.kind.name}"


class PackedLinear(_Packed):
    """As :class:`torch.nn.Linear`."""

    def __init__(self, blocks: Tensor, kind: Any, columns: int, bias: nn.Parameter | None) -> None:
        """``bias``: ``[rows]``, or none."""
        super().__init__(blocks, kind, columns)
        self.in_features, self.out_features = columns, len(blocks)
        self.bias = bias

    def forward(self, given: Tensor) -> Tensor:
        """``[..., columns]`` to ``[..., rows]``, in the dtype of what is given."""
        parts = torch.split(self.weight, max(1, _AT_ONCE // self.columns))
        made = torch.cat([given @ self.rows(part).to(given.dtype).T for part in parts], -1)
        return made if self.bias is None else made + self.bias


class PackedEmbedding(_Packed):
    """As :class:`torch.nn.Embedding`, with what some models multiply it by."""

    def __init__(self, blocks: Tensor, kind: Any, columns: int, scale: float) -> None:
        """``scale``: 1 but for Gemma."""
        super().__init__(blocks, kind, columns)
        self.scale = scale

    def forward(self, ids: Tensor) -> Tensor:
        """float32 ``[..., columns]`` of ids."""
        return self.rows(self.weight[ids.reshape(-1)]).reshape(*ids.shape, -1) * self.scale


def load_packed(file: Path, config_folder: Path, progress: Progress) -> PreTrainedModel:
    """The model of a GGUF file in evaluation mode, its matrices as they are in the file, all else in float32.

    ``config_folder``: with the configuration of the model, and its generation config.

    Raises:
        ModelFileError: an architecture whose matrices are changed when it is read, or weights are missing.
    """
    from accelerate import init_empty_weights

    header = read_header(file)
    architecture = header.get("general.architecture")
    made = _READ.TENSOR_PROCESSORS.get(architecture, _READ.TensorProcessor)
    if made.__name__ not in _SAFE:
        raise ModelFileError(
            f"got {file.name}, of the architecture {architecture}, whose matrices are changed when they are "
            "read; expected one that can stay packed. Load it with a dtype, such as torch.bfloat16"
        )
    config = AutoConfig.from_pretrained(str(config_folder), local_files_only=True, trust_remote_code=False)
    with init_empty_weights(include_buffers=False):
        model: Any = _MODEL.from_config(config, dtype=torch.float32, trust_remote_code=False)
    processor = made(config=config.to_dict())
    names = _READ.get_gguf_hf_weights_map(model, processor)
    places: list[TensorPlace] = header["tensors"]
    for i, place in enumerate(places):
        progress("loading", i / len(places))
        name = names.get(place.name)
        if name is not None:
            _put(model, name, place, file, processor)
    _tie(model)
    require_whole(file, [name for name, values in model.named_parameters() if values.is_meta])
    model.generation_config = GenerationConfig.from_pretrained(str(config_folder), local_files_only=True)
    ready: PreTrainedModel = model.eval()
    return ready


def _put(model: PreTrainedModel, name: str, place: TensorPlace, file: Path, processor: Any) -> None:
    """Give a parameter of ``model`` what a tensor of the file holds."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

    kind = GGMLQuantizationType(place.kind)
    block, size = GGML_QUANT_SIZES[kind]
    shape = (*place.shape[:-1], place.shape[-1] // block * size)
    stored = np.fromfile(file, np.uint8, prod(shape), offset=place.offset).reshape(shape)
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    packs = leaf == "weight" and isinstance(module, (nn.Linear, nn.Embedding)) and block > 1
    given = processor.process(weights=stored if packs else quants.dequantize(stored, kind), name=place.name)
    held = torch.from_numpy(np.ascontiguousarray(given.weights))
    if not packs:
        setattr(module, leaf, nn.Parameter(held, requires_grad=False))
    elif isinstance(module, nn.Linear):
        model.set_submodule(owner, PackedLinear(held, kind, module.in_features, module.bias))
    elif isinstance(module, nn.Embedding):
        scale = float(getattr(module, "scalar_embed_scale", 1.0))
        model.set_submodule(owner, PackedEmbedding(held, kind, module.embedding_dim, scale))


def _tie(model: PreTrainedModel) -> None:
    """A head that the file leaves out is the table of embeddings."""
    asked: Any = model
    head, table = asked.get_output_embeddings(), asked.get_input_embeddings()
    if not isinstance(head, nn.Linear) or not head.weight.is_meta:
        return
    if isinstance(table, PackedEmbedding):
        asked.set_output_embeddings(PackedLinear(table.weight, table.kind, table.columns, None))
    else:
        head.weight = table.weight
