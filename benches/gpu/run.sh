#!/usr/bin/env bash
# What a machine with a CUDA GPU shows, without a network, in under ten minutes:
#
#     WEIGHTS=SmolLM2-135M-Instruct.Q4_1.gguf benches/gpu/run.sh [OUT]
#
# It needs torch, transformers, pytest with xdist, hypothesis, gguf, and anydraft (installed, or its core built
# in python/anydraft/). WEIGHTS may also be a folder, or parts of a file: a pattern that lists them in order.
# PARTS: "tests", "measure", or both (the default). Logs and figures go to OUT.
set -uo pipefail
cd "$(dirname "$0")/../.."
out=${1:-benches/gpu/out}
python=${PYTHON:-python3}
export HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 PYTHONPATH="$PWD/python${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out"
failed=0
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee "$out/gpu.txt"

if [[ ${PARTS:-tests measure} == *tests* ]]; then
    export OMP_NUM_THREADS=1 # each of the processes
    ANYDRAFT_TEST_DEVICE=cuda timeout 200 "$python" -m pytest -q -p no:cacheprovider -n 8 \
        tests/exactness/test_lossless_loop.py 2>&1 | tee "$out/exactness.log" || failed=1
    timeout 200 "$python" -m pytest -q -p no:cacheprovider -n 8 -k "cuda or different_devices" \
        tests/integration/test_devices.py tests/integration/test_speculator.py \
        tests/integration/test_integrations_refusals.py \
        tests/unit/test_fast_compiled.py tests/unit/test_models_batch.py tests/unit/test_proposers_sync.py 2>&1 | tee "$out/cuda.log" || failed=1
    unset OMP_NUM_THREADS
fi

if [[ ${PARTS:-tests measure} == *measure* ]]; then
    weights=${WEIGHTS:?expected the weights of SmolLM2-135M-Instruct: a GGUF file, its parts, or a folder}
    # shellcheck disable=SC2206  # a pattern is meant to be expanded
    parts=($weights)
    if ((${#parts[@]} > 1)); then
        weights="$out/weights.gguf"
        cat "${parts[@]}" >"$weights"
    fi
    # shellcheck disable=SC2086  # several words are several options
    "$python" benches/gpu/measure.py --weights "$weights" --json "$out/figures.json" ${MEASURE:-} 2>&1 |
        tee "$out/measure.log" || failed=1
    ((${#parts[@]} > 1)) && rm -f "$weights"
fi
exit "$failed"
