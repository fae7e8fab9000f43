"""A smaller head: which rows are kept, that the law is exact, and that transformers loads the copy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import anydraft
import cli_models
import small
from anydraft.cli import shrink as command
from anydraft.cli.app import app
from anydraft.errors import ArgumentError
from anydraft.loading.folders import load_model
from anydraft.loading.light import RankedTokenizer
from anydraft.models.fast.trimmed_head import TrimmedModel, kept_rows
from anydraft.proposers.draft_state import DraftState
from anydraft.training.folder import WISHES
from anydraft.training.shrink import kept_rows as rows_of
from anydraft.training.shrink import shrunken

KEEP = 120


def rows() -> list[int]:
    return rows_of(small.byte_level(), [small.TEXT], KEEP).rows


def speculator(draft: Any, **options: Any) -> anydraft.Speculator:
    target, tokenizer = small.byte_fallback(), small.byte_level()
    return anydraft.Speculator(small.model(target), draft, target, tokenizer, **options)


def test_the_most_used_tokens_and_all_ends_are_kept() -> None:
    tokenizer = small.byte_level()
    kept = rows_of(tokenizer, [small.TEXT], KEEP)
    assert len(kept.rows) == KEEP
    assert kept.rows == sorted(set(kept.rows))
    assert tokenizer.eos_token_id in kept.rows
    ids = tokenizer(small.TEXT)["input_ids"]
    assert kept.usage == pytest.approx(sum(i in set(kept.rows) for i in ids) / len(ids))
    counts = torch.bincount(torch.tensor(ids), minlength=len(tokenizer))
    left = [int(counts[i]) for i in range(len(tokenizer)) if i not in kept.rows]
    assert max(left) <= min(int(counts[i]) for i in kept.rows if i not in (0, 1))
    assert rows_of(tokenizer, [small.TEXT], len(tokenizer) + 50).usage == 1.0


def test_wrong_counts_texts_and_rows_are_refused() -> None:
    with pytest.raises(ArgumentError, match="control tokens"):
        rows_of(small.byte_level(), [small.TEXT], 1)
    with pytest.raises(ArgumentError, match="no text"):
        rows_of(small.byte_level(), [], KEEP)
    for wrong in ([], [3, 3], [5, 2], [10**6]):
        with pytest.raises(ArgumentError, match="ascending"):
            shrunken(small.model(small.byte_level()), wrong)


@pytest.mark.parametrize("tied", [True, False])
def test_the_law_is_the_drafts_own_restricted_and_the_draft_is_untouched(tied: bool) -> None:
    draft = small.model(small.byte_level(), seed=1, tie_word_embeddings=tied)
    made = shrunken(draft, rows())
    assert kept_rows(draft) is None
    assert kept_rows(made) == rows()
    assert made.get_input_embeddings().weight is draft.get_input_embeddings().weight
    pair = speculator(made)
    sequence = pair.engine.sequences()[1]
    assert isinstance(sequence, TrimmedModel)
    assert len(sequence.head.rows) == KEEP
    ids = torch.tensor(small.byte_level()("The quick brown")["input_ids"])
    law = DraftState(sequence, ids.tolist(), lambda logits: logits.softmax(-1)).law(sequence.advance(ids)[0])
    whole = draft(ids[None]).logits[0, -1].softmax(-1)
    kept = torch.zeros_like(whole)
    kept[rows()] = whole[rows()]
    assert torch.allclose(law, kept / kept.sum(), atol=1e-6)
    assert torch.equal(made(ids[None]).logits, draft(ids[None]).logits)  # to transformers it is as it was


@pytest.mark.parametrize("method", ["slem", "tli", "pushforward", "slrs"])
def test_greedy_output_is_the_targets_own(method: Any) -> None:
    draft = shrunken(small.model(small.byte_level(), seed=1), rows())
    said = speculator(draft, method=method, num_draft_tokens=4).generate("The quick", max_new_tokens=24)
    ids = torch.tensor([small.byte_fallback()("The quick")["input_ids"]])
    alone = small.model(small.byte_fallback()).generate(ids, max_new_tokens=24, do_sample=False)
    assert said.token_ids == alone[0, ids.shape[1] :].tolist()
    assert not said.draft_failure


def test_a_whole_head_can_still_be_asked_for() -> None:
    draft = shrunken(small.model(small.byte_level(), seed=1), rows())
    assert not isinstance(speculator(draft, draft_head="full").engine.sequences()[1], TrimmedModel)


def test_the_list_survives_saving(tmp_path: Path) -> None:
    draft = small.model(small.byte_level(), seed=1, tie_word_embeddings=True)
    shrunken(draft, rows()).save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    assert kept_rows(loaded) == rows()
    assert torch.equal(loaded.get_output_embeddings().weight, draft.get_output_embeddings().weight)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["shrink", "--device", "cpu", *arguments])


def test_the_command_writes_a_copy_and_says_what_it_costs(tmp_path: Path) -> None:
    target, draft = cli_models.save(tmp_path)
    text = tmp_path / "text.txt"
    text.write_text(small.TEXT)
    given = ["--draft", str(draft), "--keep", "120", "--usage", str(text), "--out", str(tmp_path / "out")]
    result = run(*given)
    assert result.exit_code == 0, result.stderr
    assert "share of the texts' tokens" in result.stdout
    assert kept_rows(load_model(tmp_path / "out")) == rows()
    again = run(*given)
    assert again.exit_code == 2
    assert "where a model is already" in again.stderr
    measured = run(*given[:-1], str(tmp_path / "other"), "--target", str(target))
    assert measured.exit_code == 0, measured.stderr
    assert "first accepted, greedy" in measured.stdout


@pytest.mark.parametrize("keep", ["many", "0", "k"])
def test_a_wrong_number_is_said(tmp_path: Path, keep: str) -> None:
    (tmp_path / "text.txt").write_text(small.TEXT)
    result = run("--draft", str(tmp_path), "--keep", keep, "--usage", str(tmp_path / "text.txt"))
    assert result.exit_code == 2
    assert "16k" in result.stderr


def test_what_it_would_write_over_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, draft = cli_models.save(tmp_path)
    (tmp_path / "text.txt").write_text(small.TEXT)
    (tmp_path / "begun" / "training").mkdir(parents=True)
    (tmp_path / "begun" / "training" / WISHES).write_text("{}")
    monkeypatch.setattr(command, "load_one", None)  # before anything is loaded
    monkeypatch.setenv("HOME", str(tmp_path))
    given = ["--draft", str(draft), "--keep", "120", "--usage", "~/text.txt", "--out"]
    for out, said in (
        ("~/text.txt", "which is no folder"),
        (str(target), "where a model is already (config.json)"),
        ("~/begun", "where a training was begun; expected another folder"),
    ):
        result = run(*given, out)
        assert result.exit_code == 2
        assert said in result.stderr


def test_paths_may_begin_with_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, draft = cli_models.save(tmp_path)
    (tmp_path / "text.txt").write_text(small.TEXT)
    monkeypatch.setenv("HOME", str(tmp_path))
    result = run("--draft", str(draft), "--keep", "120", "--usage", "~/text.txt", "--out", "~/out")
    assert result.exit_code == 0, result.stderr
    assert kept_rows(load_model(tmp_path / "out")) == rows()


def test_a_tokenizer_that_cannot_be_saved_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, draft = cli_models.save(tmp_path)
    (tmp_path / "text.txt").write_text(small.TEXT)
    loaded = SimpleNamespace(tokenizer=RankedTokenizer.__new__(RankedTokenizer), model=None)
    monkeypatch.setattr(command, "load_one", lambda *_, **__: loaded)
    out = tmp_path / "out"
    result = run(
        "--draft", str(draft), "--keep", "9", "--usage", str(tmp_path / "text.txt"), "--out", str(out)
    )
    assert result.exit_code == 2
    assert "(RankedTokenizer) cannot be saved beside the copy; expected one with a fast form" in result.stderr
    assert not out.exists()
