"""What runs a model's passes: the model itself, or something that computes the same sooner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anydraft.errors import ArgumentError, ModelError
from anydraft.models.compiled import compiled
from anydraft.models.few_rows import DraftWeights
from anydraft.models.lean import ARCHITECTURES, Lean
from anydraft.models.twin import twin_of


@dataclass(frozen=True)
class Passes:
    """How passes are to be run."""

    weights: DraftWeights = "auto"
    compile: bool = False
    """Compile those over a few tokens, with static shapes; on CUDA they are recorded as CUDA graphs."""
    drafts: bool = False
    """The model only drafts, so that it may compute a little differently: see :class:`Int8`."""


def runner_of(model: Any, passes: Passes) -> Any:
    """What to call instead of ``model``, with the arguments that it takes.

    To be called where a decode begins: what was made of the model's weights is made anew if they changed.

    Raises:
        ArgumentError: passes that are to be the model's own, and compiled.
        ModelError: the passes of such a model cannot be compiled here.
    """
    if passes.compile and passes.weights == "model":
        raise ArgumentError(
            "got compile=True and weights='model'; expected one of them: what is compiled here is code of "
            "our own. Leave one out, or pass torch.compile(model)"
        )
    runner = twin_of(model, passes.weights, drafts=passes.drafts)
    if not passes.compile:
        return runner
    if not isinstance(runner, Lean):
        raise ModelError(
            f"got compile=True and {type(model).__name__}; expected a plain model, without hooks or "
            f"adapters, of {', '.join(ARCHITECTURES)}. Leave compile out, or pass torch.compile(model)"
        )
    return compiled(runner)
