"""A proposer for vLLM: any small model drafts for any served target.

``speculative_config={"method": "custom_class", "model": "anydraft.integrations.vllm.proposer.Proposer",
"num_speculative_tokens": 5}`` and ``additional_config={"anydraft": {"draft": "path/of/the/draft"}}``;
``anydraft serve-config`` prints the whole command. vLLM verifies what is proposed; its law is not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch

from anydraft.bridge import special_tokens
from anydraft.bridge.pairing import bridge_of
from anydraft.errors import ArgumentError
from anydraft.integrations.vllm import versions
from anydraft.integrations.vllm.drafter import Drafter
from anydraft.integrations.vllm.faults import mend
from anydraft.integrations.vllm.metrics import Metrics
from anydraft.integrations.vllm.turns import opening_of
from anydraft.loading.folders import generation_config, load_model, load_tokenizer
from anydraft.models.batch import needed_batch
from anydraft.models.fast.runner import FastPasses
from anydraft.models.transformers import TransformersModel
from anydraft.proposers.masks import check_masks

log = logging.getLogger("vllm.anydraft")


@dataclass(frozen=True)
class Settings:
    """``additional_config["anydraft"]``."""

    draft: str
    """A transformers folder, a GGUF file, ``"org/name"`` or ``"tiny"``."""
    draft_tokenizer: str | None = None
    """Its tokenizer, if it is not beside the model."""
    target_tokenizer: str | None = None
    """The target's, if vLLM's own name for it is no folder or file."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    device: str = "auto"
    """``"auto"``: where vLLM runs."""
    threads: int | None = None
    """CPU threads of the draft; ``None``: as vLLM has them."""
    templates: Literal["draft", "target"] = "draft"
    """Whose chat template the draft reads chats in; its own, if it has one."""
    max_requests: int = 16
    """Larger batches are not drafted for: there the target's pass is no longer bound by memory."""
    adapt: Literal["on", "off"] = "on"
    """Whether to measure if drafting pays, and to stop where it does not."""
    untested: bool = False
    """Whether to try a version of vLLM that is not known here."""

    @classmethod
    def of(cls, additional_config: Any) -> Settings:
        """Read vLLM's ``additional_config``.

        Raises:
            ArgumentError: a name that is not there, or no draft.
        """
        given = additional_config.get("anydraft") if isinstance(additional_config, Mapping) else None
        known = [field.name for field in fields(cls)]
        if not isinstance(given, Mapping) or "draft" not in given:
            raise ArgumentError(
                f"got additional_config={additional_config!r}; expected "
                '{"anydraft": {"draft": "path/of/the/draft"}}. anydraft serve-config prints it'
            )
        strange = sorted(set(given) - set(known))
        if strange:
            raise ArgumentError(f"got {', '.join(strange)} in additional_config; expected {', '.join(known)}")
        return cls(**given)


class Proposer:
    """What vLLM's ``method="custom_class"`` makes and asks. Of the target's processes the first drafts."""

    def __init__(self, vllm_config: Any) -> None:
        """Read the configuration; the draft is loaded here too, so that a mistake shows at once.

        Raises:
            ArgumentError: the configuration will not do, or the version of vLLM is not known.
            TokenizerError, ModelError, ModelFileError: the pair will not.
        """
        self.settings = Settings.of(vllm_config.additional_config)
        versions.check(versions.installed(), untested=self.settings.untested)
        self._most = int(vllm_config.speculative_config.num_speculative_tokens)
        self._window = int(vllm_config.model_config.max_model_len)
        self._names = str(vllm_config.model_config.model), self.settings.draft
        self._failed = False
        self.drafter: Drafter | None = None
        mend()
        if _drafts_here():
            self.drafter = self._made(vllm_config)
            self._metrics = Metrics(*self._names)

    def load_model(self, *_: Any, **__: Any) -> None:
        """Nothing to do: the draft is our own."""

    def propose(
        self,
        sampled_token_ids: Sequence[Sequence[int]],
        num_tokens_no_spec: Any,
        token_ids_cpu: Any,
        slot_mappings: Any = None,
    ) -> list[list[int]]:
        """Target ids to be verified for every row of the batch; never raises."""
        nothing: list[list[int]] = [[] for _ in sampled_token_ids]
        if self.drafter is None or self._failed:
            return nothing
        try:
            lengths = [int(n) for n in num_tokens_no_spec[: len(nothing)]]
            rows = [np.asarray(token_ids_cpu[i][:n], dtype=np.int32) for i, n in enumerate(lengths)]
            with _threads(self.settings.threads):
                found = self.drafter.propose(
                    rows, [len(ids) for ids in sampled_token_ids], [self._window - n for n in lengths]
                )
            self._metrics.update(self.drafter.counts)
        except Exception:
            self._failed = True
            log.exception("anydraft: the draft failed; the target goes on without it")
            return nothing
        return found

    def _made(self, vllm_config: Any) -> Drafter:
        settings = self.settings
        target_path = settings.target_tokenizer or str(
            vllm_config.model_config.tokenizer or vllm_config.model_config.model
        )
        target, draft = (
            load_tokenizer(target_path),
            load_tokenizer(settings.draft_tokenizer or settings.draft),
        )
        device = _device(vllm_config) if settings.device == "auto" else settings.device
        model = TransformersModel(
            load_model(settings.draft, getattr(torch, settings.dtype), device), FastPasses(drafts=True)
        )
        batch = needed_batch(model)
        ends = (
            generation_config(vllm_config.model_config.model),
            generation_config(settings.draft),
        )
        bridge = bridge_of((target, draft), ends, (_rows(vllm_config), model.vocab_size))
        check_masks(model.masks.tolist(), bridge)
        roles = special_tokens.special_roles(target, ends[0]) if settings.templates == "draft" else None
        return Drafter(
            bridge,
            batch,
            opening_of(draft, model.vocab_size, roles, bridge.target.decode),
            most_tokens=self._most,
            most_requests=settings.max_requests,
            adapt=settings.adapt == "on",
        )


def _drafts_here() -> bool:
    """Whether this process is the one whose proposals vLLM reads: the first of a tensor-parallel group."""
    try:
        from vllm.distributed.parallel_state import get_tp_group
    except ImportError:
        return True
    try:
        return bool(get_tp_group().rank_in_group == 0)
    except AssertionError:  # not initialised
        return True


def _rows(vllm_config: Any) -> int | None:
    """How many ids the target reads and says, if vLLM tells."""
    asked = getattr(vllm_config.model_config, "get_vocab_size", None)
    return (int(asked()) or None) if callable(asked) else None


def _device(vllm_config: Any) -> str:
    device = getattr(getattr(vllm_config, "device_config", None), "device", None)
    return str(device) if device is not None else "cpu"


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """The draft's number of CPU threads, and vLLM's again after it."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
