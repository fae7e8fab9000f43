"""``anydraft generate`` on tiny models in folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import anydraft
import cli_models
import small
from anydraft.cli.app import app
from anydraft.loading import folders

PROMPT = "The quick"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    target, draft = cli_models.save(tmp_path_factory.mktemp("models"))
    return ["--target", str(target), "--draft", str(draft), "--device", "cpu"]


def run(models: list[str], *arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["generate", *models, "--max-new-tokens", "24", *arguments], input=stdin)


def expected(**options: Any) -> Any:
    return small.speculator().generate(PROMPT, max_new_tokens=24, **options)


def test_the_text_and_nothing_else_goes_to_standard_output(models: list[str]) -> None:
    result = run(models, PROMPT)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == expected().text
    assert result.stderr == ""


def test_a_target_may_draft_for_itself(models: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Path] = []
    load = folders.load_model

    def counted(path: Path, *rest: Any) -> Any:
        loaded.append(path)
        return load(path, *rest)

    monkeypatch.setattr(folders, "load_model", counted)
    result = run([*models[:3], models[1], *models[4:]], PROMPT)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == expected().text
    assert len(loaded) == 1


@pytest.mark.parametrize("arguments", [(), ("-",)])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_prompt_may_come_from_standard_input(models: list[str], arguments: tuple[str], end: str) -> None:
    result = run(models, *arguments, stdin=PROMPT + end)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == expected().text


def test_only_one_line_end_of_standard_input_is_cut(models: list[str]) -> None:
    answer = json.loads(run(models, "--json", stdin=f"{PROMPT} \n\n").stdout)
    assert small.byte_fallback().decode(answer["prompt_ids"], skip_special_tokens=True) == f"{PROMPT} \n"


def test_json_is_one_object_with_everything(models: list[str]) -> None:
    result = run(models, "--json", PROMPT)
    answer, wanted = json.loads(result.stdout), expected()
    assert answer["text"] == wanted.text
    assert answer["token_ids"] == wanted.token_ids
    assert answer["prompt_ids"] == wanted.prompt_ids
    assert answer["finish_reason"] == wanted.finish_reason
    assert answer["draft_failure"] is None
    assert answer["stats"]["tokens"] == len(wanted.token_ids)
    assert answer["stats"]["target_passes"] == wanted.stats.target_passes


def test_sampling_options_reach_the_decode(models: list[str]) -> None:
    options = {
        "temperature": 0.9,
        "top_k": 20,
        "top_p": 0.9,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
        "seed": 3,
    }
    flags = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    flags += ["--num-draft-tokens", "5"]  # lengths that follow measured times do not repeat a sample
    sampled = json.loads(run(models, *flags, "--json", PROMPT).stdout)
    assert sampled["token_ids"] == expected(**options).token_ids
    assert sampled["token_ids"] != expected().token_ids


def test_method_and_draft_length_reach_the_decode(models: list[str]) -> None:
    answer = json.loads(run(models, "--method", "tli", "--num-draft-tokens", "2", "--json", PROMPT).stdout)
    wanted = small.speculator(method="tli", num_draft_tokens=2).generate(PROMPT, max_new_tokens=24)
    assert answer["stats"]["drafted"] == wanted.stats.drafted
    assert answer["stats"]["proposed"] == wanted.stats.proposed


def test_chat_sends_a_message(models: list[str]) -> None:
    answer = json.loads(run(models, "--chat", "--json", PROMPT).stdout)
    wanted = small.speculator().generate(messages=[{"role": "user", "content": PROMPT}], max_new_tokens=24)
    assert answer["prompt_ids"] == wanted.prompt_ids
    assert answer["prompt_ids"] != expected().prompt_ids


def test_the_summary_goes_to_standard_error(models: list[str]) -> None:
    result = run(models, "--stats", "--num-draft-tokens", "5", PROMPT)
    stats = expected().stats
    assert result.stdout == expected().text
    assert f"{stats.tokens} tokens" in result.stderr
    assert f"accepted {stats.accepted} of {stats.proposed} proposed" in result.stderr


def test_a_failed_draft_is_told_and_the_target_goes_on(
    models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from anydraft.proposers.draft_state import DraftState

    def fail(*_: Any) -> Any:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(DraftState, "advance", fail)
    result = run(models, "--num-draft-tokens", "5", PROMPT)
    assert result.exit_code == 0
    assert result.stdout == expected().text
    assert "out of luck" in result.stderr


BAD = [
    (["--method", "tlii", "x"], "tlii"),
    (["--temperature", "-1", "x"], "temperature"),
    (["--top-p", "7", "x"], "top_p"),
    (["--max-new-tokens", "-3", "x"], "max_new_tokens=-3"),
    (["--num-draft-tokens", "0", "x"], "num-draft-tokens"),
    (["--device", "quantum", "x"], "quantum"),
    (["--target", "no/such/folder", "x"], "no/such/folder"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=lambda value: str(value[0]))
def test_a_mistake_is_one_sentence_and_exit_code_2(
    models: list[str], arguments: list[str], said: str
) -> None:
    result = run(models, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_standard_input_that_is_no_text_is_refused(models: list[str]) -> None:
    result = run(models, stdin=b"\xff\xfe\x00")
    assert result.exit_code == 2
    assert "UTF-8" in result.stderr


def test_an_unreadable_folder_is_one_sentence(models: list[str], tmp_path: Path) -> None:
    result = run(models, "--draft", str(tmp_path), "x")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert str(tmp_path) in result.stderr


def test_a_memory_is_kept_in_a_file(models: list[str], tmp_path: Path) -> None:
    path = tmp_path / "texts.memory"
    counts = []
    for _ in range(2):
        arguments = ["--memory-file", str(path), "--method", "lookup", "--json", PROMPT + " brown"]
        result = run(models, *arguments)
        assert result.exit_code == 0, result.stderr
        counts.append(json.loads(result.stdout)["stats"]["looked_up"])
        assert len(anydraft.Memory.load(path)) == 1
    assert counts[1] > counts[0]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_memory_that_cannot_be_is_told_before_models_are_loaded(models: list[str], tmp_path: Path) -> None:
    path = tmp_path / "texts.memory"
    path.write_bytes(b"something else")
    for wrong in (path, tmp_path / "none" / "file"):
        result = run(["--target", "none", "--draft", "none"], "--memory-file", str(wrong), PROMPT)
        assert result.exit_code == 2
        assert str(wrong) in result.stderr.replace("\n", "")
    assert path.read_bytes() == b"something else"
