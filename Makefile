# Everything a contributor types. Each target sets up .venv by itself; `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.stamp
BENCH  := .venv-bench
RUN    ?= runs
DATA   ?= data

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all check format bench generate clean

help: ## Show this list.
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $(STAMP)

setup: $(STAMP) ## Make .venv with everything installed (other targets do it when it is needed).

run: $(STAMP) ## Train on a small real data set and print the figures, the bundle and the report.
	mkdir -p $(RUN)
	cd examples && ../$(BIN)/deepwright train adult.yaml -o ../$(RUN)/adult --overwrite
	cd examples && ../$(BIN)/deepwright evaluate ../$(RUN)/adult -o ../$(RUN)/adult-report.html
	@echo "  bundle    $(RUN)/adult"
	@echo "  report    $(RUN)/adult/report.html"

# Two workers of two threads each on two cores would wait for each other at every barrier of every operator.
test: $(STAMP) ## Run the quick tests.
	OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-all: $(STAMP) ## Run all tests, the slow ones too.
	$(BIN)/python -m pytest --hypothesis-profile=default

check: $(STAMP) ## Run every check but the tests: format, lint, types, floors, derived files, docs.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/check_floors.py
	$(BIN)/python scripts/generate.py --check
	$(BIN)/python scripts/check_docs.py

format: $(STAMP) ## Format the code and mend what the linter can.
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

$(BENCH)/.stamp: pyproject.toml bench/requirements.txt
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e ".[dev]" -r bench/requirements.txt
	touch $(BENCH)/.stamp

bench: $(STAMP) $(BENCH)/.stamp ## Measure on the public data sets that lie in DATA, and write docs/benchmarks.md (hours).
	@test -d "$(DATA)" || { echo "make bench DATA=FOLDER: the folder that holds the data sets; bench/README.md lists them"; exit 2; }
	for script in tables pictures; do $(BIN)/python bench/$$script.py "$(DATA)" || exit 1; done
	$(BENCH)/bin/python bench/engine.py "$(DATA)" --out bench/results/engine.json
	$(BENCH)/bin/python bench/tuneup.py "$(DATA)" --out bench/results/tuneup.json

generate: $(STAMP) ## Write the files that are derived from the code.
	$(BIN)/python scripts/generate.py

clean: ## Remove what the other targets made, .venv excepted.
	rm -rf $(RUN) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
