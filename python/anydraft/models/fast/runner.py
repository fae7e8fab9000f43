"""Passes that give what a model's own would give, sooner."""

from __future__ import annotations

from dataclasses import dataclass

from torch.nn import Module

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.base import Runner
from anydraft.models.fast.compiled import CompiledLeanModel, compiled
from anydraft.models.fast.forward import ARCHITECTURES, LeanModel
from anydraft.models.fast.twin import twin_of
from anydraft.models.weights import DraftWeights


@dataclass(frozen=True)
class FastPasses:
    """What runs a model's passes: itself, or something that computes the same sooner."""

    weights: DraftWeights = "auto"
    compile: bool = False
    """Compile those over a few tokens, with static shapes; on CUDA they are recorded as CUDA graphs."""
    drafts: bool = False
    """The model only drafts, so that it may compute a little differently: see :class:`Int8`."""

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
        runner = twin_of(model, self.weights, drafts=self.drafts)
        if not self.compile:
            return runner
        if not isinstance(runner, LeanModel):
            raise ModelError(
                f"got compile=True and {type(model).__name__}; expected a plain model, without hooks or "
                f"adapters, of {', '.join(ARCHITECTURES)}. Leave compile out, or pass torch.compile(model)"
            )
        return compiled(runner)

    def sizes(self, runner: Runner) -> tuple[int, ...]:
        """See :class:`~anydraft.models.base.Passes`."""
        return runner.sizes if isinstance(runner, CompiledLeanModel) else ()
