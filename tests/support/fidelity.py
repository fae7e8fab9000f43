"""Whether a model says with a draft what it says without: all of transformers' causal models, shrunk.

Each is tried as target and as draft, alone and in batches, through ``Speculator`` and
``custom_generate``. The outcome is *same*,
*refused* with a sentence, or *not run* with the reason. Anything else is a fault.

    python tests/support/fidelity.py [names ...] [--write docs/models.md]
"""

from __future__ import annotations

import argparse
import itertools
import re
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import GenerationConfig

import anydraft
import shrunk
import small

TOKENS = 60
PROMPTS = (10, 17, 23)
SECONDS = 300
"""A name may take so long."""
_SHARES = (0.03, 0.1, 0.3)
"""How far the weights of the drafts are from the target's."""
_PENALTY = 1.5
"""For repetitions, or tiny random models say one token again and again."""
_OWN = 0.9
"""How much of a block of its own a model keeps at least. It is all but where scales change at every token."""


_BEGIN, _END = "<!-- the table: python tests/support/fidelity.py --write -->", "<!-- its end -->"


class Outcome(NamedTuple):
    """What came of one name."""

    name: str
    model: str
    """The class."""
    kind: str
    """``same``, ``refused``, ``not run``, ``wrong`` or ``raised``."""
    said: str
    """The sentence, or where it differed."""

    @property
    def row(self) -> str:
        """A row of the table."""
        said = self.said.split(";")[0].replace("|", " ")
        said = re.sub(rf"^(but padded rows are refused: )?got (an? )?{self.model}, ", r"\1", said)
        said = re.sub(rf"^(but padded rows are refused: )got padded .*{self.model}, ", r"\1", said)
        return f"| {self.name} | {self.model} | {self.kind} | {said} |"


class WrongError(Exception):
    """Other text than plain decoding."""


def tried(name: str) -> Outcome:
    """One name, within its time."""
    tokenizer = small.characters()
    model = None
    try:
        with _limit(SECONDS):
            model = made(name)
            kind, said = _tried(model, tokenizer)
    except TimeoutError:
        kind, said = "not run", f"longer than {SECONDS} s"
    except Exception as error:
        if model is not None:
            raise
        kind, said = "not run", f"cannot be made: {_line(error)}"
    return Outcome(name, type(model).__name__ if model is not None else "", kind, said)


def made(name: str) -> Any:
    """The shrunk model of a name, which ends at no token."""
    model = shrunk.shrunk(name, len(small.characters()))
    for config in (model.config, model.config.get_text_config(decoder=True)):
        with suppress(
            StrictDataclassFieldValidationError
        ):  # one of them must name some; generate does not ask it
            config.eos_token_id = None
        config.pad_token_id = 0
    model.generation_config = GenerationConfig(pad_token_id=0)
    return model


def _tried(model: Any, tokenizer: Any) -> tuple[str, str]:
    ways = itertools.product((_refusal_of_speculator, _refusal_of_generate), (True, False))
    try:
        refusals = [refusal(model, tokenizer, as_target) for refusal, as_target in ways]
    except TimeoutError:
        raise
    except Exception as error:
        return "raised", _trace(error)
    if any(refusals):
        if len(set(refusals)) > 1:
            return "wrong", f"refused in one place only: {refusals}"
        return "refused", str(refusals[0])
    try:
        try:
            return "same", _compare(model, tokenizer)
        except WrongError as first:
            said = str(first)
        _compare(model.double(), tokenizer)
        return "same", f"in float64; in float32 {said}"
    except WrongError as wrong:
        return "wrong", f"{said}, and in float64: {wrong}"
    except TimeoutError:
        raise
    except anydraft.AnydraftError as error:
        return "wrong", f"refused late: {_line(error)}"
    except Exception as error:
        return "raised", _trace(error)


def _refusal_of_speculator(model: Any, tokenizer: Any, as_target: bool) -> str | None:
    other = small.model(tokenizer)
    pair = (model, other) if as_target else (other, model)
    try:
        speculator = anydraft.Speculator(*pair, tokenizer, tokenizer, method="tli", num_draft_tokens=4)
        speculator.generate(input_ids=prompts()[0].tolist(), max_new_tokens=8)
    except anydraft.ModelError as error:
        return str(error)
    return None


def _refusal_of_generate(model: Any, tokenizer: Any, as_target: bool) -> str | None:
    other = small.model(tokenizer)
    target, draft = (model, other) if as_target else (other, model)
    ours = anydraft.custom_generate(draft, tokenizer, tokenizer, method="tli", num_draft_tokens=4)
    try:
        plain(target, prompts()[0][None], tokens=8, custom_generate=ours)
    except anydraft.ModelError as error:
        return str(error)
    except Exception as error:
        if "'custom_generate'" not in str(error) and not _fails(target, type(error)):
            raise
        return _refusal_of_speculator(model, tokenizer, as_target)  # it did not come to us
    return None


def _fails(model: Any, kind: type[Exception]) -> bool:
    """Whether plain decoding raises the same."""
    try:
        plain(model, prompts()[0][None], tokens=8)
    except kind:
        return True
    return False


def _compare(model: Any, tokenizer: Any) -> str:
    """Raise :class:`WrongError`, or tell what else is to be said."""
    texts = prompts()
    batches = {"alone": texts[-1:], "batch": [texts[1], texts[1].flip(0)], "padded": texts}
    drafts = [shrunk.perturbed(model, share) for share in _SHARES]
    options: Any = {"method": "tli", "num_draft_tokens": 4, "draft_weights": "unpacked"}
    said, drafted, accepted = "", 0, 0
    for i, (prompt, draft) in enumerate(zip(texts, drafts, strict=True)):
        expected = plain(model, prompt[None])[0, len(prompt) :].tolist()
        pair = anydraft.Speculator(model, draft, tokenizer, tokenizer, **options)
        output = pair.generate(input_ids=prompt.tolist(), max_new_tokens=TOKENS, repetition_penalty=_PENALTY)
        _same(f"Speculator, prompt {i}", [expected], [list(output.token_ids)])
        drafted, accepted = drafted + output.stats.drafted, accepted + output.stats.accepted
    ours = anydraft.custom_generate(drafts[1], tokenizer, tokenizer, **options)
    for label, rows in batches.items():
        ids, mask = _padded(rows, 0)
        expected = plain(model, ids, attention_mask=mask).tolist()
        try:
            found = plain(model, ids, attention_mask=mask, custom_generate=ours).tolist()
        except anydraft.ModelError as error:
            if label != "padded":
                raise
            said = f"but padded rows are refused: {error}"
        else:
            _same(f"generate, {label}", expected, found)
    own = anydraft.Speculator(model, model, tokenizer, tokenizer, **options)
    output = own.generate(input_ids=texts[0].tolist(), max_new_tokens=TOKENS)
    if output.stats.accepted < _OWN * output.stats.drafted:
        raise WrongError(f"its own draft: {output.stats.accepted} of {output.stats.drafted} accepted")
    if not 0.02 < accepted / drafted < 0.9:
        print(f"  note: {accepted} of {drafted} accepted", file=sys.stderr)
    return said


def _same(where: str, expected: Any, found: Any) -> None:
    for row, (one, other) in enumerate(zip(expected, found, strict=True)):
        if one != other:
            at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), "end")
            raise WrongError(f"{where}, row {row}: token {at} of {len(one)} and {len(other)}")


def plain(model: Any, ids: torch.Tensor, *, tokens: int = TOKENS, **options: Any) -> torch.Tensor:
    """What ``generate`` says: prompt and new tokens."""
    options.setdefault("attention_mask", torch.ones_like(ids))
    found: torch.Tensor = model.generate(
        ids, max_new_tokens=tokens, do_sample=False, repetition_penalty=_PENALTY, **options
    )
    return found


def prompts() -> list[torch.Tensor]:
    """int64 ``[n]`` each."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(96, (n,), generator=generator) for n in PROMPTS]


def _padded(rows: list[torch.Tensor], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    length = max(map(len, rows))
    ids = torch.stack([torch.cat((row.new_full((length - len(row),), pad), row)) for row in rows])
    mask = torch.stack([(torch.arange(length) >= length - len(row)).long() for row in rows])
    return ids, mask


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _trace(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{_line(error)} ({last.filename.rsplit('site-packages/')[-1]}:{last.lineno})"


def table(path: Path) -> dict[str, Outcome]:
    """The rows of a written table, by name."""
    rows = re.findall(r"^\| (.+?) \| (.*?) \| (\w[\w ]*?) \| (.*?) \|$", path.read_text(), re.M)
    return {row[0]: Outcome(*row) for row in rows if row[0] != "name"}


def write(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Write the table into a page, between its two marks."""
    kinds = Counter(outcome.kind for outcome in outcomes.values())
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    head = f"transformers {transformers.__version__}, {len(outcomes)} rows: {counts}."
    rows = [outcomes[name].row for name in sorted(outcomes)]
    made = "\n".join([head, "", "| name | class | outcome | |", "|---|---|---|---|", *rows])
    before, _, after = (page := path.read_text()).partition(_BEGIN)
    assert after, page
    path.write_text(f"{before}{_BEGIN}\n\n{made}\n\n{_END}{after.partition(_END)[2]}")


def main() -> None:
    """Try the names given, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", type=Path, help="a page whose table gets the rows")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, Outcome] = {}
    for name in given.names or shrunk.names():
        found[name] = outcome = tried(name)
        print(f"{name:32} {outcome.kind:8} {outcome.said}", flush=True)
        if given.write:
            write(given.write, {**(table(given.write) if given.names else {}), **found})
    print(dict(Counter(outcome.kind for outcome in found.values())))


if __name__ == "__main__":
    main()
