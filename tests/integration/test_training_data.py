"""What a draft is trained on: tasks, texts of the target, a tokenizer, lessons."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import small
from anydraft.bridge import special_tokens
from anydraft.errors import ArgumentError, ModelFileError
from anydraft.training import corpus, tasks
from anydraft.training.batches import batches, together
from anydraft.training.distil import Distiller
from anydraft.training.samples import KEPT, Store
from anydraft.training.tasks import Task
from anydraft.training.tokenizer import train_tokenizer
from training_parts import SHAPE, TEXTS, bridge, draft_tokenizer, lessons, target, written


def test_no_subject_of_a_held_out_prompt_is_in_a_training_prompt() -> None:
    learnt = {task.text for task in tasks.training_tasks(10**6, 0)}
    assert len(learnt) > 5000
    for kind in ("code", "prose"):
        held = tasks.held_out_tasks(60, 3, kind)
        assert len({task.text for task in held}) == 60
        assert all(task.kind == kind for task in held)
        assert not learnt & {task.text for task in held}
    subjects = [
        task.text.removeprefix("What is ")[:-1] for task in tasks.held_out_tasks(400, 0, "prose")[::2]
    ]
    named = [subject for subject in subjects if " " in subject and len(subject) < 30]
    assert named
    assert not any(subject in text for subject in named for text in learnt if "What is" in text)


def test_tasks_are_the_same_for_a_seed_and_mix_in_what_the_user_has() -> None:
    own = ["def mine(x):\n    return x", "My own text about"]
    made = tasks.training_tasks(40, 5, own)
    assert made == tasks.training_tasks(40, 5, own)
    assert made != tasks.training_tasks(40, 6, own)
    assert len(made) == 40
    assert {task.text for task in made} >= set(own)
    assert {task.kind for task in made} == {"code", "prose"}


def test_a_corpus_is_read_from_files_folders_and_archives(tmp_path: Path) -> None:
    import tarfile
    import zipfile

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a.py").write_text("a = 1\n" * 20)
    (tmp_path / "folder/b.bin").write_bytes(b"\0" * 200)
    (tmp_path / "folder/c.md").write_bytes(b"\xff" * 200)
    with zipfile.ZipFile(tmp_path / "one.whl", "w") as archive:
        archive.writestr("x/b.py", "b = 2\n" * 20)
    with tarfile.open(tmp_path / "two.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "folder/a.py", "other.py")
    texts = corpus.read([tmp_path / "folder", tmp_path / "one.whl", tmp_path / "two.tar.gz"])
    assert texts == ["a = 1\n" * 20, "b = 2\n" * 20]
    with pytest.raises(ArgumentError, match="there is nothing"):
        corpus.read([tmp_path / "none"])
    (tmp_path / "wide.txt").write_bytes(("wide " * 50).encode("utf-16-le"))
    (tmp_path / "short.txt").write_text("short")
    for name in ("folder/c.md", "wide.txt", "short.txt"):
        with pytest.raises(ArgumentError, match=f"got .*{name}, without text"):
            corpus.read([tmp_path / "one.whl", tmp_path / name])
    linked = tarfile.TarInfo("gone.py")
    linked.type, linked.linkname = tarfile.SYMTYPE, "../elsewhere.py"
    with tarfile.open(tmp_path / "linked.tar", "w") as tar:
        tar.addfile(linked)
        tar.add(tmp_path / "folder/a.py", "other.py")
    assert corpus.read([tmp_path / "linked.tar"]) == texts[:1]
    for name in ("broken.zip", "broken.tar.gz"):
        (tmp_path / name).write_bytes(b"no archive" * 20)
        with pytest.raises(ArgumentError, match=f"got .*{name}, an archive that cannot be read"):
            corpus.read([tmp_path / name])


def test_prefixes_end_with_a_word_and_follow_from_the_seed() -> None:
    texts = ["First line here.\n\n" + "some words and more of them " * 30]
    found = corpus.prefixes(texts, 20, 0)
    assert found == corpus.prefixes(texts, 20, 0)
    assert found
    assert all(piece in texts[0] and not piece.endswith(" ") for piece in found)
    assert corpus.prefixes([], 5, 0) == []


def test_the_vocabulary_is_reproducible_writes_all_bytes_and_can_end() -> None:
    tokenizer = draft_tokenizer()
    again = train_tokenizer(TEXTS, SHAPE.vocabulary)
    assert tokenizer.get_vocab() == again.get_vocab()
    assert len(tokenizer) == SHAPE.vocabulary
    text = "Grüße 日本 🙂\n\tdef f(x):  # \x00"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    roles = special_tokens.special_roles(tokenizer)
    assert roles["eos"]
    assert roles["end_of_turn"]
    proposed = dict(special_tokens.bridge_roles(small.byte_fallback(), tokenizer).to_target)
    assert set(proposed.values()) == {small.byte_fallback().eos_token_id}
    with pytest.raises(ArgumentError, match="expected 259"):
        train_tokenizer(TEXTS, 100)


def test_a_greedy_text_is_what_the_target_says_and_its_laws_are_the_targets(tmp_path: Path) -> None:
    model, tokenizer = target()
    found = written(tmp_path)
    assert [sample.number for sample in found] == list(range(6))
    greedy = found[0]  # numbers 0 and 2 of 5 are greedy
    ids = torch.cat([greedy.prompt, greedy.ids]).long()
    laws = model(ids[None]).logits[0].float().softmax(-1)[len(greedy.prompt) - 1 : -1]
    assert torch.equal(laws.argmax(-1), greedy.ids.long())
    top = laws.topk(min(KEPT, laws.shape[-1]))
    assert torch.allclose(top.values, greedy.top_laws.float(), atol=2e-3)
    for sample in found:
        assert len(sample.ids) == 12 or int(sample.ids[-1]) in special_tokens.end_ids(
            tokenizer, model.generation_config
        )


def test_an_interrupted_writing_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", 8)
    written(tmp_path / "parts", 8, seconds=0.0)
    first = Store(tmp_path / "parts").numbers()
    assert 0 < len(first) < 8
    parts = written(tmp_path / "parts", 8)
    assert [s.ids.tolist() for s in parts] == [s.ids.tolist() for s in whole]
    assert [s.task for s in parts] == [s.task for s in whole]


def test_an_interrupt_leaves_what_was_written(tmp_path: Path) -> None:
    def stop(count: int, tokens: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, 6, progress=stop)
    assert len(Store(tmp_path).numbers()) == 2
    whole = written(tmp_path, 6)
    assert [sample.number for sample in whole] == list(range(6))


def test_a_damaged_file_of_samples_is_named(tmp_path: Path) -> None:
    (tmp_path / "samples-00000.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match="samples-00000"):
        Store(tmp_path).numbers()


def test_the_law_of_a_lesson_is_the_targets_by_first_draft_token(tmp_path: Path) -> None:
    """Against the definition: add up the probabilities of target tokens by the class of each."""
    classes = bridge().classes.class_of
    distiller = Distiller(bridge(), draft_tokenizer())
    checked = 0
    for sample in written(tmp_path):
        lesson = distiller.lesson(sample, 10**6)
        assert lesson is not None
        assert torch.allclose(lesson.weights.sum(-1)[-1], torch.tensor(1.0))
        text = bridge().target.decode(sample.ids.tolist())
        new = [i for i in range(len(lesson)) if lesson.weights[i].sum() > 0]
        said = b"".join(bridge().draft.bytes(int(lesson.ids[i])) for i in new[1:])
        assert text.startswith(said) or sample.task.chat is False
        law: dict[int, float] = {}
        for token, p in zip(sample.top_ids[0].tolist(), sample.top_laws[0].float().tolist(), strict=True):
            law[classes[token]] = law.get(classes[token], 0.0) + p
        law.pop(-1, None)
        first = new[0]
        if (lesson.weights[first] > 0).sum() > 1:
            best = max(law, key=lambda d: law[d])
            assert int(lesson.wanted[first, 0]) == best
            most = sorted(law.values())[-lesson.wanted.shape[1] :]
            assert float(lesson.weights[first, 0]) == pytest.approx(law[best] / sum(most), abs=1e-3)
            checked += 1
    assert checked >= 3


def test_a_lesson_is_cut_and_a_prompt_is_not_learnt(tmp_path: Path) -> None:
    distiller = Distiller(bridge(), draft_tokenizer())
    sample = next(s for s in written(tmp_path) if not s.task.chat)
    whole = distiller.lesson(sample, 10**6)
    assert whole is not None
    prompt = len(draft_tokenizer()(sample.task.text)["input_ids"])
    assert float(whole.weights[: prompt - 2].sum()) == 0.0
    short = distiller.lesson(sample, prompt + 3)
    assert short is not None
    assert len(short) == prompt + 3
    assert torch.equal(short.wanted, whole.wanted[: prompt + 3])
    assert distiller.lesson(sample, prompt - 2) is None


def test_batches_hold_every_lesson_once_in_every_epoch() -> None:
    given = list(lessons())
    for epoch in (0, 1):
        made = batches(given, epoch, 0, tokens=60)
        assert sorted(i for numbers in made for i in numbers) == list(range(len(given)))
        assert all(len(n) * max(len(given[i]) for i in n) <= 60 or len(n) == 1 for n in made)
    assert batches(given, 0, 0) != batches(given, 1, 0) or len(given) < 3
    batch = together(given)
    assert batch.ids.shape == (len(given), max(map(len, given)))


def test_a_task_is_a_value() -> None:
    assert Task("code", True, "x") == Task("code", chat=True, text="x")
