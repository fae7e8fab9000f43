"""What a model says with a draft is what it says without, or it is refused: see tests/support/fidelity.py.

The fast tests take a class of most kinds; ``-m sweep`` takes all that transformers has.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

import fidelity
import shrunk
from anydraft.models.proven import ALONE, PROVEN, UNLIKE

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
TABLE = fidelity.table(PAGE)
KINDS = {
    "bert": "refused",  # an encoder
    "mamba": "same",  # a state
    "gpt2": "same",  # learnt positions
    "bart": "same",  # positions that count the padding
    "gpt_neo": "same",  # masks of its own
    "gemma2": "same",  # windows, caps
    "llama4_text": "same",  # chunks, experts
    "deepseek_v3": "same",  # compressed keys
    "llama, dynamic": "same",
    "paligemma": "same",  # positions from 1 on, prompts that see all of themselves
}
MORE_KINDS = {
    "bert, decoder": "same",
    "openai-gpt": "refused",  # no cache
    "prophetnet": "refused",  # one token a pass
    "xlnet": "refused",
    "bloom": "same",  # biases by distance
    "falcon, alibi": "same",  # the same in a class that has positions too
    "phi3, longrope": "same",
}
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    "name", [*KINDS, *(pytest.param(name, marks=pytest.mark.sweep) for name in MORE_KINDS)]
)
def test_a_class_of_every_kind(name: str) -> None:
    if name not in shrunk.names():
        pytest.skip(f"transformers {transformers.__version__} does not know it")
    outcome = fidelity.tried(name)
    assert outcome.kind == {**KINDS, **MORE_KINDS}[name], outcome.said


@pytest.mark.sweep
@pytest.mark.parametrize("name", shrunk.names())
def test_every_class(name: str) -> None:
    outcome = fidelity.tried(name)
    if outcome.kind == "not run":
        pytest.skip(outcome.said)
    assert outcome.kind in ("same", "refused"), outcome.said


def test_the_table_has_no_fault_in_it() -> None:
    assert len(TABLE) >= 189 + len(shrunk.VARIANTS)
    assert {outcome.kind for outcome in TABLE.values()} <= {"same", "refused", "not run"}
    assert all(outcome.said for outcome in TABLE.values() if outcome.kind != "same")


def test_what_is_believed_is_what_the_table_shows() -> None:
    """A class is believed if each of its names is the same throughout, padded rows included."""
    plain = [outcome for name, outcome in TABLE.items() if name not in shrunk.VARIANTS and outcome.model]
    short = {outcome.model for outcome in plain if outcome.kind != "same" or outcome.said.startswith("but")}
    assert {outcome.model for outcome in plain} - short == PROVEN
    assert not PROVEN & set(UNLIKE)
    assert ALONE <= PROVEN


def test_the_models_say_different_things() -> None:
    """A model that repeats one token would hide what is wrong."""
    model = fidelity.made("llama")
    said = fidelity.plain(model, fidelity.prompts()[0][None])[0].tolist()
    assert len(set(said)) > 20
