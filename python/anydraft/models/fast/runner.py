"""Passes that give what a model's own would give, sooner."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch.nn import Module

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.base import Runner
from anydraft.models.fast import twin as twins
from anydraft.models.fast.compiled import CompiledLean
from anydraft.models.fast.forward import ARCHITECTURES, LeanModel
from anydraft.models.fast.recorded import RecordedLean
from anydraft.models.fast.static import StaticLean
from anydraft.models.fast.twin import twin_of
from anydraft.models.weights import DraftWeights

_forms: WeakKeyDictionary[Module, dict[type[StaticLean], StaticLean]] = WeakKeyDictionary()
"""The static forms of models: what was compiled and recorded serves all texts."""


@dataclass(frozen=True)
class FastPasses:
    """What runs a model's passes: itself, or something that computes the same sooner."""

    weights: DraftWeights = "auto"
    compile: bool = False
    """Compile those over a few tokens, with static shapes."""
    drafts: bool = False
    """The model only drafts, so that it may compute a little differently: see :class:`Int8`."""
    record: bool = True
    """On CUDA, record those over a few tokens as CUDA graphs."""

    def runner(self, model: Module) -> Runner:
        """See :class:`~anydraft.models.base.Passes`.

        Raises:
            ArgumentError: passes that are to be the model's own, and compiled.
            ModelError: the passes of such a model cannot be compiled here.
        """
        if self.compile and self.weights == "model":
            raise ArgumentError(
                "got compile=True and weights='model'; expected one of them: what is compiled here is code "
                "of our own. Leave one out, or pass torch.compile(model)"
            )
        if autocast(model) and not self.compile:
            return model  # its products are others there, and packed weights have none
        runner = twin_of(model, self.weights, drafts=self.drafts)
        if not self.compile:
            if self.record and isinstance(runner, LeanModel) and records(runner.device):
                return _form(model, runner, RecordedLean)
            return runner
        if not isinstance(runner, LeanModel):
            raise ModelError(
                f"got compile=True and {type(model).__name__}; expected a plain model, without hooks or "
                f"adapters, of {', '.join(ARCHITECTURES)}. Leave compile out, or pass torch.compile(model)"
            )
        return _form(model, runner, CompiledLean)

    def sizes(self, runner: Runner) -> tuple[int, ...]:
        """See :class:`~anydraft.models.base.Passes`."""
        return runner.sizes if isinstance(runner, StaticLean) else ()


def forget(model: Module) -> None:
    """Make all that was made of a model's weights anew when it is next needed."""
    _forms.pop(getattr(model, "_orig_mod", model), None)
    twins.forget(model)


def autocast(model: Module) -> bool:
    """Whether PyTorch now computes in another dtype than the model is in."""
    parameter = next(model.parameters(), None)
    return parameter is not None and torch.is_autocast_enabled(parameter.device.type)


def records(device: torch.device) -> bool:
    """Whether passes can be recorded there."""
    return device.type == "cuda" and torch.version.cuda is not None


def _form(model: Module, lean: LeanModel, kind: type[StaticLean]) -> StaticLean:
    """The static form of a model; one as long as its lean form is the same."""
    kept = _forms.setdefault(model, {})
    form = kept.get(kind)
    if form is None or form.lean is not lean:
        kept.pop(kind, None)  # its memory first
        form = kept[kind] = kind(lean)
    form.check(model.parameters())
    return form
