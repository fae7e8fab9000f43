"""Record what vLLM hands to a proposer, for ``tests/integration/test_vllm_recorded.py``: run by hand, seldom.

    .venv-vllm/bin/python tests_vllm/record_rounds.py FOLDER_OF_SMOLLM2 tests/support/data/vllm_rounds.json.gz

Requests of mixed length arrive staggered; some are aborted, some preempted for want of cache.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="2", VLLM_LOGGING_LEVEL="ERROR")
ROUNDS: list[dict[str, Any]] = []


class Recorder:
    """A proposer that guesses the last three tokens again, which sometimes holds, and notes its inputs."""

    def __init__(self, config: Any) -> None:
        pass

    def load_model(self, *_: Any) -> None:
        pass

    def propose(self, sampled: Any, lengths: Any, table: Any, slot_mappings: Any = None) -> list[list[int]]:
        rows = [[int(t) for t in table[i][: int(lengths[i])]] for i in range(len(sampled))]
        ROUNDS.append({"sampled": [list(map(int, ids)) for ids in sampled], "rows": rows})
        return [row[-3:] if ids else [] for ids, row in zip(sampled, rows, strict=True)]


def main() -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    import engines
    import test_engine

    folder, out = sys.argv[1:]
    arguments = engines.engine_arguments(
        {"smollm2": folder},
        "smollm2",
        num_gpu_blocks_override=10,
        block_size=32,
        speculative_config={
            "method": "custom_class",
            "model": "record_rounds.Recorder",
            "num_speculative_tokens": 3,
        },
    )
    import record_rounds  # the module that vLLM will import, and not __main__

    said, preempted, _ = test_engine.serve(arguments)
    found = {"rounds": record_rounds.ROUNDS, "finished": said, "preempted": preempted}
    Path(out).parent.mkdir(exist_ok=True)
    with gzip.open(out, "wt", encoding="utf-8") as file:
        json.dump(found, file, separators=(",", ":"))
    print(len(record_rounds.ROUNDS), "rounds,", preempted, "preempted")


if __name__ == "__main__":
    main()
