"""Files that are damaged, out of proportion or hostile: one sentence, in bounded time; none of them runs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import transformers

import cli_models
import small
from anydraft import Bridge, Tokenizer
from anydraft.errors import AnydraftError, ModelFileError, TokenizerError
from anydraft.loading import cache_dir
from anydraft.loading.folders import load_model, load_tokenizer
from anydraft.loading.quantised import FILE, load_quantised, save_quantised
from anydraft.loading.tokenizer_quick import open_tokenizer

try:
    import tiny_gguf

    HAS_GGUF = not transformers.__version__.startswith("4.")
except ImportError:
    HAS_GGUF = False
needs_gguf = pytest.mark.skipif(not HAS_GGUF, reason="needs the package gguf and transformers 5")

COMMANDS = {
    "generate": ["generate", "--target", "{0}", "--draft", "{1}", "--max-new-tokens", "4", "Once"],
    "doctor": ["doctor", "{0}", "{1}"],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return cli_models.save(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def command(*arguments: object, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "anydraft.cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def opened(path: Path) -> Any:
    return open_tokenizer(path, lambda *_: None)


# --- code in a folder ---


@pytest.fixture
def with_code(tmp_path: Path) -> tuple[Path, Path]:
    """A folder whose classes are in a Python file of its own, and the file that this code would write."""
    folder, mark = tmp_path / "own-code", tmp_path / "mark"
    folder.mkdir()
    classes = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    config = {"model_type": "nobody-knows", "auto_map": classes, "architectures": ["Model"]}
    (folder / "config.json").write_text(json.dumps(config))
    named = {"auto_map": {"AutoTokenizer": ["own.Tokenizer", None]}, "tokenizer_class": "Tokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    (folder / "own.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizer\n"
        "class Config(PretrainedConfig):\n    model_type = 'nobody-knows'\n"
        "class Model(PreTrainedModel):\n    config_class = Config\n"
        "class Tokenizer(PreTrainedTokenizer):\n    pass\n"
    )
    return folder, mark


@pytest.mark.parametrize("load", [load_model, load_tokenizer, opened])
def test_code_in_a_folder_is_named_and_not_run(
    with_code: tuple[Path, Path], load: Callable[[Path], Any]
) -> None:
    folder, mark = with_code
    with pytest.raises(ModelFileError, match=r"own\.py.*trust_remote_code=True"):
        load(folder)
    assert not mark.exists()


@pytest.mark.parametrize("asked", COMMANDS)
@pytest.mark.parametrize("tokenizer", [True, False])
def test_no_answer_on_standard_input_makes_it_run(
    with_code: tuple[Path, Path], models: tuple[Path, Path], asked: str, tokenizer: bool
) -> None:
    folder, mark = with_code
    if tokenizer:  # then it is the model's code that is asked for
        (folder / "tokenizer.json").write_text((models[1] / "tokenizer.json").read_text())
    for paths in ((folder, models[1]), (models[0], folder)):
        found = command(*(part.format(*paths) for part in COMMANDS[asked]), stdin="y\n" * 9)
        assert not mark.exists()
        assert "[y/N]" not in found.stdout + found.stderr
        if asked == "generate" or not tokenizer:
            assert found.returncode == 2
            assert "own.py" in found.stderr.replace("\n", "")
            assert "Traceback" not in found.stderr


def test_a_known_architecture_needs_no_code_of_its_folder(models: tuple[Path, Path], tmp_path: Path) -> None:
    """As with plain transformers: where it has the class, the folder's own is left alone."""
    small.model(small.byte_level(), seed=1).save_pretrained(tmp_path / "known")
    config = json.loads((tmp_path / "known" / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "absent.Model"}
    (tmp_path / "known" / "config.json").write_text(json.dumps(config))
    assert type(load_model(tmp_path / "known")).__module__.startswith("transformers.models.")


# --- damaged files ---


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


DAMAGES: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("model.safetensors", halved),
    ("model.safetensors", lambda content: content[:20]),
    ("model.safetensors", lambda _: b""),
    ("model.safetensors", lambda content: b"\xff" * 8 + content[8:]),
    ("model.safetensors", lambda content: content.replace(b"q_proj", b"x_proj")),
    ("config.json", halved),
    ("config.json", lambda _: b""),
    ("config.json", lambda _: b"[]"),
    ("config.json", lambda _: b'"text"'),
    ("config.json", lambda _: b"\xff\xfe\x00"),
    (
        "config.json",
        lambda content: content.replace(b'"num_hidden_layers": ', b'"num_hidden_layers": "x",  "y": '),
    ),
]


@pytest.mark.parametrize(
    ("name", "damage"), DAMAGES, ids=[f"{i}-{name}" for i, (name, _) in enumerate(DAMAGES)]
)
def test_a_damaged_model_is_one_error(
    models: tuple[Path, Path], tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    folder = copied(models[0], tmp_path / "damaged")
    content = (folder / name).read_bytes()
    assert damage(content) != content
    (folder / name).write_bytes(damage(content))
    with pytest.raises(ModelFileError, match="damaged"):
        load_model(folder)


@pytest.mark.parametrize("damage", [halved, lambda _: b"", lambda _: b"[]", lambda _: b'{"model": 3}'])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("load", [load_tokenizer, opened])
def test_a_damaged_tokenizer_is_one_error(
    models: tuple[Path, Path],
    tmp_path: Path,
    name: str,
    damage: Callable[[bytes], bytes],
    load: Callable[[Path], Any],
) -> None:
    folder = copied(models[0], tmp_path / "damaged")
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with suppress(AnydraftError):  # what the file says is not always needed
        load(folder)


def test_the_command_says_it_in_one_sentence(models: tuple[Path, Path], tmp_path: Path) -> None:
    folder = copied(models[0], tmp_path / "damaged")
    weights = folder / "model.safetensors"
    weights.write_bytes(halved(weights.read_bytes()))
    found = command(*(part.format(folder, models[1]) for part in COMMANDS["generate"]))
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "damaged" in found.stderr
    assert "download it again" in found.stderr.replace("\n", " ")


def test_a_damaged_quantised_model(models: tuple[Path, Path], tmp_path: Path) -> None:
    save_quantised(load_model(models[0]), tmp_path)
    load_quantised(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    for damaged in (halved(content), content[:9], b""):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(ModelFileError, match="quantised"):
            load_quantised(tmp_path)


@needs_gguf
def test_a_gguf_file_cut_anywhere(tmp_path: Path) -> None:
    from anydraft.doctor import Subject
    from anydraft.doctor.gguf_header import read_header

    whole = tiny_gguf.write(tmp_path / "whole.gguf").read_bytes()
    file = tmp_path / "cut.gguf"
    for length in [*range(0, 64, 5), 3_000, *range(1_000, len(whole) - 1, len(whole) // 9)]:
        file.write_bytes(whole[:length])
        with suppress(ModelFileError):  # the cut may be behind the header
            read_header(file)
        for load in (load_model, load_tokenizer, Subject.open):
            with pytest.raises(ModelFileError, match=r"cut\.gguf"):
                load(file)


@needs_gguf
def test_a_gguf_file_without_one_of_its_weights(tmp_path: Path) -> None:
    """The name of one is another's that nobody knows: transformers would make the weight up."""
    file = tiny_gguf.write(tmp_path / "lacking.gguf")
    content = file.read_bytes()
    assert b"blk.1.ffn_up.weight" in content
    file.write_bytes(content.replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight"))
    with pytest.raises(ModelFileError, match=r"lacking\.gguf.*lack 1 weights"):
        load_model(file)


@needs_gguf
@pytest.mark.parametrize("asked", COMMANDS)
def test_a_cut_gguf_file_on_the_command_line(models: tuple[Path, Path], tmp_path: Path, asked: str) -> None:
    file = tiny_gguf.write(tmp_path / "cut.gguf")
    file.write_bytes(file.read_bytes()[:3_000])
    found = command(*(part.format(models[0], file) for part in COMMANDS[asked]))
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    assert "cut.gguf" in found.stderr


# --- out of proportion ---


def hostile_json(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    data = json.loads(small.byte_level().backend_tokenizer.to_str())
    change(data)
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize("token", [10**6 * 2, 10**8, 10**9, 2**32 - 1])
def test_ids_far_beyond_the_tokens_take_no_memory(tmp_path: Path, token: int) -> None:
    """In a process that may not take 100 MB more than it has."""
    file = hostile_json(tmp_path / "tokenizer.json", lambda data: data["model"]["vocab"].update(far=token))
    bytes_of = (base64.b64encode(bytes([i])).decode() for i in range(256))
    lines = [f"{text} {i}" for i, text in enumerate(bytes_of)]
    (tmp_path / "far.tiktoken").write_text("\n".join([*lines, f"YWE= {token}"]))
    tekken = {
        "config": {"pattern": ".", "default_num_special_tokens": token, "default_vocab_size": token + 9},
        "vocab": [{"token_bytes": "YQ==", "rank": 0}],
    }
    (tmp_path / "tekken.json").write_text(json.dumps(tekken))
    program = f"""
import resource, sys
from pathlib import Path
from anydraft import Bridge, Tokenizer
from anydraft.errors import AnydraftError
from anydraft.loading.tokenizers import load_tokenizer_file
from anydraft.loading.tokenizer_quick import open_tokenizer
from anydraft.testing import Subject
folder = Path({str(tmp_path)!r})
def attempt(work):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        work()
    except AnydraftError as error:
        print(type(error).__name__)
    else:
        print("accepted")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000, grown
attempt(lambda: Tokenizer.from_json({str(file)!r} and Path({str(file)!r}).read_text()))
def bridge(path, **asked):
    one = load_tokenizer_file(path, asked.get("pattern"), asked.get("special"))
    Bridge(one, one).core
attempt(lambda: bridge(folder / "tokenizer.json"))
attempt(lambda: open_tokenizer(folder, lambda *_: None))
attempt(lambda: Subject.of(folder / "tokenizer.json"))
attempt(lambda: bridge(folder / "far.tiktoken", pattern="."))
attempt(lambda: bridge(folder / "tekken.json"))
"""
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,  # a bound for a hang alone: a loop over 2**32 ids
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [
        "TokenizerError",
        *["ModelFileError"] * 3,
        "TokenizerError",
        "ModelFileError",
    ]


HOSTILE_STAGES: list[dict[str, Any]] = [
    {"type": "FixedLength", "length": 0},
    {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "(?<=a+)b"}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False},
    {"type": "Split", "pattern": {"Regex": "(?=a)"}, "behavior": "MergedWithNext", "invert": True},
    {"type": "Digits"},
    {"type": "FixedLength", "length": 2**64 - 1},
]


@pytest.mark.parametrize("stage", HOSTILE_STAGES, ids=lambda stage: json.dumps(stage)[:60])
def test_a_stage_that_cannot_run_is_a_tokenizer_error_or_harmless(
    stage: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Never a panic, which is no Exception, and nothing on standard error."""
    data = json.loads(small.byte_level().backend_tokenizer.to_str())
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [stage, last]}
    try:
        tokenizer = Tokenizer.from_json(json.dumps(data))
    except TokenizerError:
        pass
    else:
        assert tokenizer.decode(tokenizer.encode("Abc 12, déf".encode()) or []) == "Abc 12, déf".encode()
        Bridge(tokenizer, tokenizer).session().commit([0], [])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("asked", ["doctor", "fuzz"])
def test_a_fixed_length_of_nothing_on_the_command_line(
    models: tuple[Path, Path], tmp_path: Path, asked: str
) -> None:
    file = hostile_json(
        tmp_path / "tokenizer.json",
        lambda data: data.update(pre_tokenizer={"type": "FixedLength", "length": 0}),
    )
    found = command(asked, file, *([models[1]] if asked == "doctor" else ["--examples", "5"]))
    assert "Traceback" not in found.stderr
    assert asked == "fuzz" or "panicked" not in found.stderr  # fuzz asks the tokenizer itself, which prints
    assert "FixedLength" in (found.stdout + found.stderr).replace("\n", " ")


# --- tiktoken's format under any name ---


def tiktoken_lines(count: int) -> bytes:
    tokens = [bytes([i]) for i in range(256)] + [b"%d" % i for i in range(10, 10_000)]
    return b"\n".join(base64.b64encode(token) + b" %d" % i for i, token in enumerate(tokens[:count])) + b"\n"


@pytest.mark.parametrize("name", ["tokenizer.model", "qwen.tiktoken", "tokenizer.model.v3"])
def test_tiktokens_format_is_told_by_its_content(
    models: tuple[Path, Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tiktoken")
    from anydraft.loading import tiktoken_known, tokenizers

    folder = tmp_path / "llama"
    folder.mkdir()
    (folder / name).write_bytes(tiktoken_lines(2_000))
    (folder / "config.json").write_bytes((models[0] / "config.json").read_bytes())
    said = r"neither the regular expression.*nor control tokens.*pattern=.*special_tokens=.*tokenizer\.json"
    for path in (folder, folder / name):
        for load in (load_tokenizer, opened):
            with pytest.raises(ModelFileError, match=said):
                load(path)
    found = command("doctor", folder, models[1])
    assert found.returncode == 2
    assert "neither" in found.stderr
    given = load_tokenizer(folder, pattern=r"\d|[^\d]+", special_tokens={"<|eot|>": 2_000})
    assert given.encode("a1<|eot|>", allowed_special="all") == [97, 49, 2_000]
    known = tiktoken_known.KnownEncoding(r"\d|[^\d]+", {"<|eot|>": 2_000})
    monkeypatch.setattr(tokenizers, "known_encoding", lambda _: known)
    for load in (load_tokenizer, opened):
        assert load(folder).encode("a1<|eot|>", allowed_special="all") == [97, 49, 2_000]


# --- paths and places ---

PATHS = ["~nobody-of-this-name/model", "a\0b", "x" * 5_000, "absent"]


@pytest.mark.parametrize("path", PATHS, ids=["home", "zero", "long", "absent"])
@pytest.mark.parametrize("load", [load_model, load_tokenizer, opened, lambda path: Bridge(path, path)])
def test_a_path_that_cannot_be_is_one_error(path: str, load: Callable[[str], Any]) -> None:
    with pytest.raises(ModelFileError, match=r"^got ") as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


HOMELESS = """
import os, pwd, sys
os.environ.pop("HOME", None), os.environ.pop("XDG_CACHE_HOME", None), os.environ.pop("ANYDRAFT_CACHE", None)
def nobody(_):
    raise KeyError("getpwuid(): uid not found")
pwd.getpwuid = nobody
"""


def test_without_a_home_folder_a_decode_runs_and_the_cache_says_what_to_set(tmp_path: Path) -> None:
    program = (
        HOMELESS
        + """
import small
from anydraft import Speculator
from anydraft.errors import ModelFileError
from anydraft.loading import cache_dir
from anydraft.scheduling.plan import find
one = small.byte_level()
pair = Speculator(small.model(one, seed=1), small.model(one, seed=2), one, one)
assert pair.generate("Once", max_new_tokens=3).token_ids
assert find({"a": "b"}, "greedy") is None
try:
    cache_dir.entry("a", lambda folder: None)
except ModelFileError as error:
    print(error)
"""
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[1] / "support")])
    }
    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stderr
    assert "ANYDRAFT_CACHE" in found.stdout


def test_a_cache_folder_that_cannot_be_read_is_no_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from anydraft.scheduling.plan import find, plan_path

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path / "file"))
    assert find({"a": "b"}, "greedy") is None
    monkeypatch.setenv("ANYDRAFT_CACHE", "x" * 5_000)
    assert find({"a": "b"}, "greedy") is None
    with pytest.raises(ModelFileError, match="ANYDRAFT_CACHE"):
        cache_dir.entry("a", lambda folder: None)
    monkeypatch.setenv("ANYDRAFT_CACHE", str(tmp_path))
    plan_path({"a": "b"}, "greedy").parent.mkdir()
    plan_path({"a": "b"}, "greedy").write_bytes(b"\xff")
    assert find({"a": "b"}, "greedy") is None


MISSPELT = {
    "generate": ["--target", "{0}", "--draft", "no/such", "Once"],
    "generate, tokenizer": ["--target", "{0}", "--draft", "{1}", "--draft-tokenizer", "no/such", "Once"],
    "bench": ["--target", "{0}", "--draft", "no/such"],
    "bench, page": ["--target", "{0}", "--draft", "{1}", "--chart", "no/such/page.html"],
    "bench, prompts": ["--target", "{0}", "--draft", "{1}", "--prompts-file", "no/such"],
    "shrink": ["--draft", "{1}", "--keep", "16", "--usage", "no/such"],
    "shrink, target": ["--draft", "{1}", "--keep", "16", "--usage", "{0}/config.json", "--target", "no/such"],
    "train-draft": ["--target", "{0}", "--corpus", "no/such"],
    "serve-config": ["--target", "{0}", "--draft", "no/such", "--draft-tokenizer", "{1}"],
    "doctor": ["{0}", "no/such"],
    "doctor, predict": ["{0}", "no/such", "--predict"],
    "doctor, text": ["{0}", "{1}", "--text", "no/such"],
    "align": ["{0}", "no/such", "text"],
}


@pytest.mark.parametrize("asked", MISSPELT)
def test_a_misspelt_path_is_told_before_anything_is_loaded(models: tuple[Path, Path], asked: str) -> None:
    """Not even PyTorch is, which takes seconds by itself."""
    arguments = [asked.partition(",")[0], *(part.format(*models) for part in MISSPELT[asked])]
    program = f"""
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise SystemExit("torch is imported")
sys.meta_path.insert(0, Refused())
sys.argv = ["anydraft", *{arguments!r}]
from anydraft.cli import main
main()
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert "torch is imported" not in found.stderr
    assert found.returncode == 2, found.stderr
    assert "no/such" in found.stderr
