# The two commands are `make demo` and `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_ROWS ?= 2000000
SHELL := /bin/sh

.PHONY: help demo test test-notebooks test-statistics test-chaos test-scale test-thorough notebooks-full lint docs bench clean

help:  ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dgmmis needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.user: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[readers,report]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.user

demo: $(VENV)/.user  ## Simulate 2 million noisy rows, ingest, fit, apply, report, compare with the truth.
	rm -rf demo
	$(BIN)/python examples/simulate.py demo/stars.parquet --rows $(DEMO_ROWS)
	$(BIN)/dgmmis ingest demo/stars.parquet demo/stars.zarr --features parallax,pmra,pmdec \
	  --error "{}_error" --corr "{}_{}_corr" --id source_id
	$(BIN)/dgmmis describe demo/stars.zarr
	$(BIN)/dgmmis fit demo/stars.zarr -K 8 --run demo/run --memory-limit "900 MiB"
	$(BIN)/dgmmis apply demo/run demo/stars.zarr -o demo/posterior.parquet --memory-limit "900 MiB"
	$(BIN)/dgmmis report demo/run -o demo/report.html
	$(BIN)/python examples/compare_with_truth.py demo/run demo/truth.npz
	@echo "Open demo/report.html in a browser."

test: $(VENV)/.dev  ## Run the default tests.
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-notebooks: $(VENV)/.dev  ## Run every notebook at its small size.
	$(BIN)/python -m pytest -m notebook -n 2 tests/test_notebooks.py

test-statistics: $(VENV)/.dev  ## Monte-Carlo checks of recovery.
	$(BIN)/python -m pytest -m statistical --timeout 1800

test-chaos: $(VENV)/.dev  ## Kill processes for some minutes.
	$(BIN)/python -m pytest -m chaos --timeout 3600

test-scale: $(VENV)/.dev  ## Fit more than the workers' memory holds.
	$(BIN)/python -m pytest -m scale --timeout 3600

test-thorough: $(VENV)/.dev  ## The default laws at their full breadth: all kernels, all hostile files.
	$(BIN)/python -m pytest -m "thorough and not statistical" -n 2 --dist loadgroup --timeout 600

notebooks-full: $(VENV)/.dev  ## Run the notebooks at full size, minutes each; what they showed is in build/notebooks.
	mkdir -p build/notebooks
	cd notebooks && DGMMIS_NOTEBOOK_SIZE=full $(abspath $(BIN))/jupyter-execute --timeout=-1 \
	  --output=../build/notebooks/{notebook_name} *.ipynb

lint: $(VENV)/.dev  ## Check style, types and floors.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nbstripout --verify notebooks/*.ipynb

docs: $(VENV)/.dev  ## The documentation as a site: site/docs/contents.html.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	$(BIN)/python -m sphinx -q -W --keep-going -c docs . site

bench: $(VENV)/.dev  ## Compare with the peers, which get an environment of their own.
	PYTHON=$(PYTHON) sh benchmarks/run.sh

clean:  ## Remove what the targets made.
	rm -rf demo site jupyter_execute $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/.venv
