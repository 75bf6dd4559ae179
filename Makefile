# lgan: `make` or `make help` lists the targets. Only make and Python 3.11 or newer are needed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV ?= .venv
BIN := $(VENV)/bin
# The first interpreter that runs and is new enough; `make PYTHON=/path/to/python` picks another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; \
	done; true)

SEEDS ?= 0
BUDGET ?= smoke
DATA_ROOT ?=
ARGS ?=
WORKERS ?= auto
METHODS := joint,sft,ewc_gan,dgr,mergan_jtr,mergan_ra,dgm_w,dgm_a

TRANSLATORS ?= full,sft,sft_heads,piggyback_mask,piggyback_gan,pure_factorization

DGM := table-dgm-1 table-dgm-2 table-dgm-3 table-dgm-4 figure-dgm-2 figure-dgm-3 figure-dgm-6
PIGGYBACK := table-piggyback-1 table-piggyback-2 table-piggyback-3 table-piggyback-4 figure-piggyback-2

.PHONY: help setup lint format test test-quick demo demo-translation board bench soak docs table-mergan-1 table-mergan-2 $(DGM) $(PIGGYBACK) clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  Settings: PYTHON, VENV, WORKERS=N (tests), SEEDS=0,1,2 (demos), BUDGET=smoke|cpu|paper, DATA_ROOT and ARGS (tables), JOBS=N (board)"

setup: $(VENV)/.installed ## make the virtual environment .venv with lgan and its tools

$(VENV)/.installed: pyproject.toml setup.py
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; install one or say make PYTHON=/path/to/python." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { echo "Python's venv failed: it needs ensurepip (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

lint: setup ## check style and types (ruff, mypy)
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Compiled modules are kept, as hundreds of processes read them.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/python -m pytest -q -n $(WORKERS)

test: setup ## run the tests on all cores; nothing is downloaded
	$(PYTEST) $(ARGS)

test-quick: setup ## run the tests that take no seconds each (two minutes)
	$(PYTEST) -m 'not slow' $(ARGS)

demo: setup ## train eight methods on 8x8 digits (minutes), then a table and report.html
	OMP_NUM_THREADS=1 $(BIN)/lgan-train -m method=$(METHODS) seed=$(SEEDS) data=digits paths.runs=outputs/demo $(ARGS)
	$(BIN)/lgan-table runs=outputs/demo
	$(BIN)/lgan-report runs=outputs/demo output=report.html

demo-translation: setup ## train six translators on four tasks of photographs (minutes), then a table and a report
	OMP_NUM_THREADS=1 $(BIN)/lgan-train -m method=$(TRANSLATORS) seed=$(SEEDS) data=photos budget=cpu short.steps=200 evaluation=efficientnet evaluation.samples_per_class=60 evaluation.reverse=never paths.runs=outputs/demo-translation $(ARGS)
	$(BIN)/lgan-table runs=outputs/demo-translation
	$(BIN)/lgan-report runs=outputs/demo-translation output=report-translation.html

# Runs of every method, class order and seed, JOBS at a time; a board that was stopped goes on.
JOBS ?= 2
DIGITS_SEEDS = $(if $(filter smoke,$(BUDGET)),0,0$(comma)1$(comma)2$(comma)3$(comma)4)
PHOTOS_SEEDS = $(if $(filter smoke,$(BUDGET)),0,0$(comma)1$(comma)2)
comma := ,
BOARD = OMP_NUM_THREADS=1 $(BIN)/lgan-paper budget=$(BUDGET) hydra/launcher=joblib hydra.launcher.n_jobs=$(JOBS)

board: setup ## all methods on equal terms, on digits and photographs; BUDGET=smoke (minutes)|cpu (hours)
	$(BOARD) table=experiments/board/digits.yaml 'seeds=[$(DIGITS_SEEDS)]' runs=outputs/board-digits-$(BUDGET) $(ARGS)
	$(BOARD) table=experiments/board/photos.yaml 'seeds=[$(PHOTOS_SEEDS)]' runs=outputs/board-photos-$(BUDGET) $(ARGS)

bench: setup ## measure speed (see benchmarks/)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.run $(ARGS)

soak: setup ## kill and damage tiny runs of every method, which must end in the same bits (ARGS=--quick: minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak $(ARGS)

docs: setup ## build the documentation site in outputs/site, with links checked; nothing is loaded from elsewhere
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir outputs/site

table-mergan-1: setup ## MeRGAN's Table 1 (MNIST, SVHN); BUDGET=smoke|cpu|paper
	$(BIN)/lgan-paper table=experiments/mergan/table1.yaml budget=$(BUDGET) $(if $(DATA_ROOT),data_root=$(DATA_ROOT)) $(ARGS)

table-mergan-2: setup ## MeRGAN's Table 2 (LSUN); BUDGET=smoke|cpu|paper
	$(BIN)/lgan-paper table=experiments/mergan/table2.yaml budget=$(BUDGET) $(if $(DATA_ROOT),data_root=$(DATA_ROOT)) $(ARGS)

# The tables and figures of DGM share their runs: one folder for each budget.
$(DGM): setup
	$(BIN)/lgan-paper table=experiments/dgm/$(subst -dgm-,,$@).yaml budget=$(BUDGET) runs=outputs/dgm-$(BUDGET) $(if $(DATA_ROOT),data_root=$(DATA_ROOT)) $(ARGS)

table-dgm-1: ## DGM's Table 1 (accuracy on four data sets); BUDGET=smoke|cpu|paper|paper_code
table-dgm-2: ## DGM's Table 2 (ImageNet-50, some real samples kept)
table-dgm-3: ## DGM's Table 3 (size of the generator)
table-dgm-4: ## DGM's Table 4 (disk space)
figure-dgm-2: ## DGM's Figure 2 (top-5 accuracy over tasks, ImageNet-50)
figure-dgm-3: ## DGM's Figure 3 (reuse; mask values over epochs)
figure-dgm-6: ## DGM's Figure 6 (size against tasks)

# So do those of Piggyback GAN.
$(PIGGYBACK): setup
	$(BIN)/lgan-paper table=experiments/piggyback/$(subst -piggyback-,,$@).yaml budget=$(BUDGET) runs=outputs/piggyback-$(BUDGET) $(if $(DATA_ROOT),data_root=$(DATA_ROOT)) $(ARGS)

table-piggyback-1: ## Piggyback GAN's Table 1 (a second task); BUDGET=smoke|cpu|paper
table-piggyback-2: ## Piggyback GAN's Table 2 (other first tasks)
table-piggyback-3: ## Piggyback GAN's Table 3 (four paired tasks)
table-piggyback-4: ## Piggyback GAN's Table 4 (unpaired tasks)
figure-piggyback-2: ## Piggyback GAN's Figure 2 (FID and parameters against lambda)

clean: ## remove the environment, caches and builds; keeps outputs/
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find conf lgan tests -name __pycache__ -type d -prune -exec rm -rf {} +
