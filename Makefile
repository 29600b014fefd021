# `make repro` and `make test` do everything from a bare Python (3.11 or newer, with pip and venv) and Git.
PYTHON ?= python3
RECIPE ?=
ARCHIVE ?= data/raw/phantom.zip
MAX_IMAGES ?= 20000

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro pull repaired test lint app check-bytes stale bench fuzz kill readme lock repository

# The quickstart, or one recipe: `make repro RECIPE=edge`.
repro: repository .venv/installed repaired
	@python tools/reproduce.py $(if $(RECIPE),stages/dvc.yaml:report@$(RECIPE))
	@echo
	@echo "Open $(CURDIR)/reports/$(if $(RECIPE),$(RECIPE)/report.html,index.html)"

# DVC needs a Git repository.
repository:
	@git rev-parse --git-dir >/dev/null 2>&1 || \
	  { echo "This folder is not a Git repository. DVC needs one: run 'git init' here first."; exit 1; }

# A killed run can leave DVC's own files corrupted, which would block every later run.
repaired: repository .venv/installed
	@python tools/repair_dvc_state.py

test: .venv/installed
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python -m pytest -n auto --dist loadscope --no-loadscope-reorder

lint: .venv/installed
	ruff check
	ruff format --check
	mypy
	lint-imports

# The local web app for trained models.
app: .venv/installed
	brain-tumor app

# Download results from the DVC remote instead of computing them: those of the quickstart, or of one recipe.
pull: repository .venv/installed
	@python tools/pull_results.py $(if $(RECIPE),stages/dvc.yaml:report@$(RECIPE))

# Check in half a minute that this machine computes the bytes of the committed results. Needs no data.
check-bytes: .venv/installed
	python tools/check_bytes.py

# Check that code, parameters and lock files agree. Needs no data.
stale: .venv/installed
	python tools/check_stale.py

# Benchmarks on this machine. Results: CSV files in benchmarks/results/.
bench: .venv/installed
	python benchmarks/bench_audit.py $(ARCHIVE) --max-images $(MAX_IMAGES)
	python benchmarks/bench_audit_tools.py
	python benchmarks/bench_raw.py $(ARCHIVE)
	python benchmarks/bench_train.py
	python benchmarks/bench_numerics.py
	python benchmarks/bench_evaluate.py
	python benchmarks/bench_explain.py
	python benchmarks/bench_export.py

# Mutated files for every reader of untrusted input.
fuzz: .venv/installed
	PYTHONPATH=tests TQDM_DISABLE=1 python tests/fuzz.py --files 10000

# Kill the quickstart at 50 random moments and compare the results with an undisturbed run. Takes an hour.
kill: .venv/installed
	python tools/kill_test.py --kills 50

# The generated parts of the documentation: tables, results.json, picture, parameter reference.
readme: .venv/installed
	python tools/update_readme.py

# Exact pins with hashes for every platform, from the ranges in pyproject.toml. Needs `uv`.
lock:
	uv pip compile pyproject.toml --extra dev --extra pipeline --extra app --extra s3 --extra formats \
	  --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --output-file requirements.lock

# The pinned dependencies: a new environment whenever requirements.lock changes.
.venv/complete: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	touch $@

# This package itself, editable: takes a second; runs when pyproject.toml changes.
.venv/installed: .venv/complete pyproject.toml
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@
