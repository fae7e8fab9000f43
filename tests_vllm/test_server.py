"""The OpenAI server, started with the command that ``anydraft serve-config`` prints."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except OSError:
            time.sleep(1)
    raise TimeoutError(url)


def chat(client: Any, model: str, question: str) -> str:
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_tokens=24,
        temperature=0,
        stream=True,
    )
    return "".join(part.choices[0].delta.content or "" for part in stream if part.choices)


def test_eight_streaming_chats_at_once(folders: dict[str, str], tmp_path: Path) -> None:
    from openai import OpenAI

    port = free_port()
    printed = subprocess.run(
        [Path(sys.executable).parent / "anydraft", "serve-config", "--target", folders["smollm2"], "--draft",
         folders["gemma3"], "--dtype", "float32", "--port", str(port), "--launcher", "python"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    small = " --dtype float32 --enforce-eager --max-model-len 512 --max-num-seqs 8"
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "2", "PATH": programs}
    environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    log = (tmp_path / "server.log").open("wb")
    server = subprocess.Popen(
        ["bash", "-c", printed.strip() + small],
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, 300)
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
        questions = [f"What is {i} plus {i}? Answer in a sentence." for i in range(8)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda question: chat(client, folders["smollm2"], question), questions))
        assert all(answers)
        assert len(set(answers)) > 1
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        assert "vllm:spec_decode_num_draft_tokens" in page
        ours = [line for line in page.splitlines() if line.startswith("anydraft:proposed")]
        assert ours, json.dumps([line for line in page.splitlines() if "anydraft" in line][:5])
        assert float(ours[0].rsplit(" ", 1)[1]) > 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
