"""A trimmed output head: the model's own logits on the rows kept, and the model untouched."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import CohereConfig, CohereForCausalLM, GraniteConfig, GraniteForCausalLM

import anydraft
import small
import tiny
from anydraft.errors import ArgumentError
from anydraft.models.batch import sequences_of
from anydraft.models.fast.runner import FastPasses
from anydraft.models.fast.trimmed_head import TrimmedHead, TrimmedModel, trimmed_head
from anydraft.models.joint import advance_together
from anydraft.models.row import TransformersRow
from anydraft.models.transformers import TransformersModel
from anydraft.sampling.laws import to_law

ROWS = torch.tensor([0, 3, 4, 17, 40, 96])


def of(kind: Any, config: Any, **values: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(
            config(
                vocab_size=97,
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                initializer_range=0.3,
                pad_token_id=0,
                **values,
            )
        ).eval()


def biased() -> Any:
    model = tiny.llama()
    model.lm_head.bias = torch.nn.Parameter(torch.linspace(-1, 1, 97))
    return model


MODELS = {
    "llama": tiny.llama,
    "tied": lambda: tiny.llama(tie_word_embeddings=True),
    "biased": biased,
    "gemma3": tiny.gemma3,
    "gemma3 capped": lambda: tiny.gemma3(final_logit_softcapping=5.0),
    "granite": lambda: of(GraniteForCausalLM, GraniteConfig, logits_scaling=4.0),
    "cohere": lambda: of(CohereForCausalLM, CohereConfig, logit_scale=0.25),
    "bfloat16": lambda: tiny.llama().bfloat16(),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_rows_kept_have_the_models_own_logits(name: str) -> None:
    model = MODELS[name]()
    before = copy.deepcopy(model.state_dict())
    head = trimmed_head(model, ROWS)
    assert head is not None
    whole, trimmed = TransformersModel(model, FastPasses()), TrimmedModel(model, head)
    dropped = torch.ones(97, dtype=torch.bool).index_fill_(0, ROWS, False)
    for ids, keep in ((tiny.ids(9), 1), (tiny.ids(3, seed=1), 3), (tiny.ids(1, seed=2), 1)):
        expected, got = whole.advance(ids, keep), trimmed.advance(ids, keep)
        close = 0.02 if name == "bfloat16" else 1e-5
        torch.testing.assert_close(
            got[:, ROWS], expected[:, ROWS], rtol=close, atol=close * float(expected.abs().amax())
        )
        assert (got[:, dropped] == -torch.inf).all()
        assert got.dtype == expected.dtype
        assert (to_law(got)[:, dropped] == 0).all()
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_first_rows_are_a_view() -> None:
    model = tiny.llama()
    first, some = (trimmed_head(model, rows, "unpacked") for rows in (torch.arange(30), ROWS))
    assert first is not None
    assert some is not None
    assert first._weight.data_ptr() == model.lm_head.weight.data_ptr()
    assert (first.nbytes, some.nbytes) == (0, len(ROWS) * 64 * 4)
    ids = tiny.ids(5)
    whole, trimmed = (
        TransformersModel(model, FastPasses()).advance(ids),
        TrimmedModel(model, first).advance(ids),
    )
    torch.testing.assert_close(trimmed[:, :30], whole[:, :30])


def test_the_whole_head_can_be_had_back_in_mid_sequence() -> None:
    model = tiny.llama()
    head = trimmed_head(model, ROWS)
    assert head is not None
    whole, trimmed = TransformersModel(model, FastPasses()), TrimmedModel(model, head)
    whole.advance(tiny.ids(5))
    trimmed.advance(tiny.ids(5))
    trimmed.trims = False
    torch.testing.assert_close(trimmed.advance(tiny.ids(1)), whole.advance(tiny.ids(1)))


class Odd(torch.nn.Module):
    """A model whose logits are made in a way of its own."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(super().__getattr__("model"), name)

    def forward(self, **arguments: Any) -> Any:
        output = self.model(**arguments)
        output.logits = output.logits**3
        return output


def test_what_cannot_be_trimmed_is_left_whole() -> None:
    model = tiny.llama()
    assert trimmed_head(Odd(model), ROWS) is None  # type: ignore[arg-type]
    assert trimmed_head(model, torch.empty(0, dtype=torch.int64)) is None
    assert trimmed_head(torch.compile(model), ROWS) is None  # type: ignore[arg-type]

    class Adapted(torch.nn.Linear):
        pass

    model.lm_head.__class__ = Adapted
    assert trimmed_head(model, ROWS) is None


def test_a_pair_drafts_with_the_trimmed_head() -> None:
    wanted = small.speculator(method="slem").generate("The quick brown", max_new_tokens=40)
    pair = small.speculator(method="slem", draft_head="shared")
    draft = pair.engine.sequences()[1]
    assert isinstance(draft, TrimmedModel)
    assert isinstance(draft.head, TrimmedHead)
    assert 0 < len(draft.head.rows) < draft.vocab_size
    assert pair.generate("The quick brown", max_new_tokens=40).token_ids == wanted.token_ids
    assert not isinstance(
        small.speculator(method="slem", draft_head="full").engine.sequences()[1], TrimmedModel
    )


def test_a_user_may_say_which_rows_are_kept() -> None:
    pair = small.speculator(draft_head=[70, 5, 200, 5])
    draft = pair.engine.sequences()[1]
    assert isinstance(draft, TrimmedModel)
    assert draft.head.rows.tolist() == [5, 70, 200]
    expected = small.speculator(draft_head="full").generate("The quick", max_new_tokens=8).token_ids
    assert pair.generate("The quick", max_new_tokens=8).token_ids == expected
    for rows in ([], [-1, 3], [3, 10_000]):
        with pytest.raises(ArgumentError, match="expected ids from 0 to"):
            small.speculator(draft_head=rows)


def test_a_batch_has_one_head() -> None:
    """It is trimmed for all rows or for none; each row's logits are those it has alone."""
    model: Any = tiny.llama()
    head = trimmed_head(model, ROWS)
    assert head is not None
    rows = sequences_of(lambda: TrimmedModel(model, head), 2)
    texts = [tiny.ids(9), tiny.ids(4, seed=1)]
    found = advance_together(rows, texts, [2, 1])
    for logits, text in zip(found, texts, strict=True):
        alone = TrimmedModel(model, head).advance(text, len(logits))
        assert torch.allclose(logits, alone, atol=1e-4)
        assert logits.isfinite().sum(-1).eq(len(ROWS)).all()


def test_rows_of_generate_have_the_trimmed_head() -> None:
    tokenizers = small.byte_fallback(), small.byte_level()
    target, draft = (small.model(tokenizer, seed=i) for i, tokenizer in enumerate(tokenizers))
    pair = anydraft.Speculator(target, draft, *tokenizers, draft_head="shared")
    rows = pair.engine.draft_sequences(3)
    assert all(isinstance(row, TransformersRow) and isinstance(row.batch.model, TrimmedModel) for row in rows)
    drafted = anydraft.custom_generate(draft, *tokenizers, draft_head="shared")
    ids = torch.full((3, 4), 70)
    given = {"max_new_tokens": 6, "do_sample": False}
    assert torch.equal(target.generate(ids, **given, custom_generate=drafted), target.generate(ids, **given))
