"""Quantised copies of a small model, by the libraries that are installed, on a CPU."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoModelForCausalLM, PreTrainedModel


def _torchao(kind: str) -> Callable[[], Any]:
    def config() -> Any:
        from torchao import quantization

        return transformers.TorchAoConfig(quant_type=getattr(quantization, kind)())

    return config


CONFIGS: Mapping[str, tuple[str, Callable[[], Any]]] = {
    "torchao, int8 weights": ("torchao", _torchao("Int8WeightOnlyConfig")),
    "torchao, int8 of both": ("torchao", _torchao("Int8DynamicActivationInt8WeightConfig")),
    "bitsandbytes, 8 bits": ("bitsandbytes", lambda: transformers.BitsAndBytesConfig(load_in_8bit=True)),
    "bitsandbytes, 4 bits": ("bitsandbytes", lambda: transformers.BitsAndBytesConfig(load_in_4bit=True)),
    "quanto": ("optimum.quanto", lambda: transformers.QuantoConfig(weights="int8")),
    "fp8": ("torchao", _torchao("Float8WeightOnlyConfig")),
}
"""A library that must be installed, and what makes the configuration."""


def missing(name: str) -> str | None:
    """Which library is not installed, if one is not."""
    library = CONFIGS[name][0]
    try:
        found = importlib.util.find_spec(library) is not None
    except ImportError:
        found = False
    return None if found else library


def quantised(name: str, folder: Path) -> PreTrainedModel:
    """The model in a folder, quantised as it is loaded."""
    made: Any = AutoModelForCausalLM
    model: PreTrainedModel = made.from_pretrained(str(folder), quantization_config=CONFIGS[name][1]())
    return model.eval()
