# `make repro` and `make test` do everything from a bare Python (3.11 or newer, with pip and venv) and git.
PYTHON ?= python3
RECIPE ?=
ARCHIVE ?= data/raw/phantom.zip
MOST ?= 20000

export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: repro mended test lint app stale bench fuzz kill lock readme repository

repro: repository .venv/complete mended
	dvc repro $(if $(RECIPE),stages/dvc.yaml:report@$(RECIPE))
	@echo
	@echo "Open $(CURDIR)/reports/$(if $(RECIPE),$(RECIPE)/report.html,index.html)"

repository:
	@git rev-parse --git-dir >/dev/null 2>&1 || \
	  { echo "This folder is no Git repository, and DVC needs one: run 'git init' here first."; exit 1; }

# What DVC leaves torn when it is killed while it writes would stop every later run.
mended: .venv/complete
	@python .ci/mend.py

test: .venv/complete
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python -m pytest -n auto --dist loadscope --no-loadscope-reorder

lint: .venv/complete
	ruff check
	ruff format --check
	mypy

# A page on this machine that shows what trained models make of an image.
app: .venv/complete
	python src/app.py

# Do code, parameters and locks agree? Needs no data.
stale: .venv/complete
	python .ci/stale.py

# Ratios taken in one run, and CSV files under benchmarks/results/.
bench: .venv/complete
	PYTHONPATH=src python benchmarks/bench_audit.py $(ARCHIVE) --most $(MOST)
	PYTHONPATH=src python benchmarks/bench_raw.py $(ARCHIVE)
	PYTHONPATH=src python benchmarks/bench_train.py
	PYTHONPATH=src python benchmarks/bench_evaluate.py
	PYTHONPATH=src python benchmarks/bench_explain.py
	PYTHONPATH=src python benchmarks/bench_export.py

# Mutated files against every reader of untrusted input.
fuzz: .venv/complete
	PYTHONPATH=src:tests TQDM_DISABLE=1 python tests/fuzz.py --files 10000

# Is a run that was killed, and run again, the same? 50 random moments of the quickstart; takes an hour.
kill: .venv/complete
	python .ci/kill.py --kills 50

# The README's tables and its picture, from metrics/.
readme: .venv/complete
	python src/readme.py

# Exact pins with hashes for every platform, from the ranges in pyproject.toml; needs `uv`.
lock:
	uv pip compile pyproject.toml --extra dev --extra app --extra s3 --universal --fork-strategy fewest \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --output-file requirements.lock

.venv/complete: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	touch $@
