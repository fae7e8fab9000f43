"""What a memory of earlier decodes brings where texts repeat: passes of the target, on, off and alone.

    python benches/python/memory.py [--threads 1] [--tokens 96] [--tasks 10] [--method lookup]

SmolLM2 with the packaged draft, on traffic like that of an agent: one file edited step by step, the file in
every prompt; the same without the file in the prompt; records as JSON. Every task is decoded in turn by the
target alone, without a memory, and with what was said before in one; at temperature 0 it is an error if they
say different things. Printed are tokens a pass, and ratios of the seconds of all tasks, all but those of the
target's pass over the prompt.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import torch
from rich.table import Table

from anydraft import Memory, Speculator, drafts
from anydraft.bench.contenders import go_alone
from anydraft.cli.terminal import console
from anydraft.loading.folders import load_model, load_tokenizer, packaged
from anydraft.loading.quiet import quiet

FILE = '''class Account:
    """Money of one customer, in cents."""

    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance
        self.history = []

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("amount must be positive")
        self.balance += amount
        self.history.append(("deposit", amount))

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError("not enough money")
        self.balance -= amount
        self.history.append(("withdraw", amount))
'''
EDITS = [
    ("Account", "Wallet"),
    ("owner", "holder"),
    ("balance", "total"),
    ("history", "log"),
    ("amount", "cents"),
    ("deposit", "put"),
    ("withdraw", "take"),
    ("customer", "client"),
    ("money", "funds"),
    ("positive", "above zero"),
]
PEOPLE = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "John", "Radia", "Ken"]
RECORD = """Write a record as JSON with the keys name, email, role, active and tags.
Name: Tim
{
  "name": "Tim",
  "email": "tim@example.org",
  "role": "engineer",
  "active": true,
  "tags": ["staff", "europe"]
}
"""


def chat(said: str) -> dict[str, Any]:
    """What a user asks for."""
    return {"messages": [{"role": "user", "content": said}]}


def edits(count: int) -> list[dict[str, Any]]:
    """A file that is edited step by step, each time written anew."""
    asked, file = [], FILE
    for old, new in EDITS[:count]:
        said = (
            f"Here is a file:\n```python\n{file}```\nWrite the whole file again, with {old} renamed to {new}."
        )
        asked.append(chat(said))
        file = file.replace(old, new)
    return asked


def anew(count: int) -> list[dict[str, Any]]:
    """A class written again and again, without a file in the prompt."""
    said = "Write a Python class {}Account with the methods __init__, deposit and withdraw. Only the code."
    return [chat(said.format(name)) for name in PEOPLE[:count]]


def records(count: int) -> list[dict[str, Any]]:
    """Records of one form."""
    return [{"prompt": f"{RECORD}Name: {name}\n{{"} for name in PEOPLE[:count]]


TRAFFIC = {"one file edited": edits, "one class written anew": anew, "records as JSON": records}


@dataclass
class Way:
    """One of the three, and what it took."""

    pair: Speculator
    alone: bool = False
    """Whether nothing is drafted."""
    tokens: int = 0
    passes: int = 0
    seconds: float = 0.0

    def run(self, **asked: Any) -> list[int]:
        """Do a task."""
        stream, said, reading = self.pair.stream(**asked), [], 0.0
        if self.alone:
            go_alone(stream)
        for event in stream:
            if not said:
                reading = stream.stats.target_seconds
            said += event.token_ids
        self.tokens += len(said)
        self.passes += stream.stats.target_passes
        self.seconds += stream.stats.seconds - reading
        return said

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--method", choices=("lookup", "auto"), default="lookup")
    parser.add_argument("--temperature", type=float, default=0.0)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with quiet():
        path = packaged("smollm2")
        target, tokenizer = load_model(path), load_tokenizer(path)
        draft, draft_tokenizer = drafts.load("tiny")
    parts = target, draft, tokenizer, draft_tokenizer
    length: Any = 8 if asked.method == "lookup" else "auto"
    table = Table("traffic", "tokens", "a pass, off", "a pass, on", "passes, on / off", "speed, off / alone")
    table.add_column("on / alone")
    for name, made in TRAFFIC.items():
        off, on = (
            Way(Speculator(*parts, method=asked.method, num_draft_tokens=length, memory=memory))
            for memory in ("off", Memory())
        )
        ways = Way(Speculator(*parts, memory="off"), alone=True), off, on
        alone = ways[0]
        for i, task in enumerate(made(asked.tasks)):
            options = {"max_new_tokens": asked.tokens, "temperature": asked.temperature}
            said = []
            for way in ways[i % 3 :] + ways[: i % 3]:
                torch.manual_seed(i)
                said.append(way.run(**task, **options))
            if asked.temperature == 0 and any(one != said[0] for one in said):
                raise SystemExit("the outputs differ, so there is nothing to compare")
        table.add_row(
            name,
            str(off.tokens),
            f"{off.tokens / off.passes:.2f}",
            f"{on.tokens / on.passes:.2f}",
            f"{on.passes / off.passes:.2f}",
            f"{off.speed / alone.speed:.2f}",
            f"{on.speed / alone.speed:.2f}",
        )
    console().print(table)


if __name__ == "__main__":
    main()
