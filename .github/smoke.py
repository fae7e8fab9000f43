"""What an installed wheel has to do, on a machine without Rust and without PyTorch."""

import importlib.util
import subprocess
import sys

import anydraft

assert importlib.util.find_spec("torch") is None, "this is a test of what works without PyTorch"
bridge = anydraft.Bridge("tiny", "tiny")
assert bridge.usage("def fib(n):\n    return n").target == 1
stream = anydraft.Detokenizer(bridge.target)
text = "naïve 日本 🙂"
assert stream.push(bridge.target.encode(text.encode()) or []) + stream.finish() == text
for command in (
    ["--version"],
    ["doctor", "tiny", "tiny"],
    ["align", "tiny", "tiny", "def fib(n):"],
    ["fuzz", "tiny", "--examples", "20", "--seed", "0", "--law", "round-trip"],
):
    subprocess.run([sys.executable, "-m", "anydraft.cli", *command], check=True, stdout=subprocess.DEVNULL)
try:
    anydraft.Speculator  # noqa: B018
except anydraft.AnydraftError as error:
    assert "pip install 'anydraft[torch]'" in str(error)  # noqa: PT017
else:
    raise AssertionError("Speculator needs torch")
print("anydraft", anydraft.__version__, "on Python", sys.version.split()[0])  # noqa: T201
