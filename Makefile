# Two commands on a fresh machine: `make demo` and `make test`. Both create .venv and install into it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ROOMS := audio cues datasets models methods metrics benchmark
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest
CONSTRAINTS ?= constraints.txt
EXTRAS ?= dev,opensmile,hf,embedding,audb,onnx,xarray
PIP_INSTALL := $(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint $(CONSTRAINTS)

# unset where a container sets it: without stored bytecode each process compiles torch and pandas anew, 9 s of them
export PYTHONDONTWRITEBYTECODE :=

.PHONY: collect demo docs results test test-long pytest coverage lint types install install-dev clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable .
	@touch $@

# in one step: resolving twice takes half a minute more; what is imported is compiled then
$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[$(EXTRAS)]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-docs: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[docs]'
	@touch $@

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

demo: install  ## rank explanation methods on the planted corpus with the bundled recogniser
	$(BIN)/serxai run

lint: types  ## style, names, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-dev  ## mypy, through a link named like the package, whatever the clone's folder is called
	@mkdir -p $(VENV)/mypy && ln -sfn ../.. $(VENV)/mypy/serxai
	cd $(VENV)/mypy && ../bin/mypy --config-file ../../pyproject.toml $(ROOMS:%=serxai/%) $(patsubst %,serxai/%,$(wildcard *.py))

pytest: install-dev  ## all tests but the long ones; speed is measured by `make test-long`, with nothing beside it
	$(PYTEST) -n 2 --dist worksteal --benchmark-disable

collect: install-dev  ## compile what the tests import, on the core that mypy leaves idle
	@-$(PYTEST) --collect-only --quiet >/dev/null

test: install-dev  ## lint, types and all tests but the long ones
	$(MAKE) --jobs 2 lint collect
	$(MAKE) pytest

test-long: lint  ## everything: kills, Ray, training, whole corpora; here speed ratios may fail
	$(PIP_INSTALL) --editable '.[ray]'
	$(PYTEST) --long -n 2 --ignore tests/benchmarks
	$(PYTEST) --long tests/benchmarks

coverage: install-dev  ## all tests but the long ones, with the lines they miss in coverage/index.html
	$(PYTEST) -n 2 --ignore tests/benchmarks --cov --cov-report=term --cov-report=html:coverage

# its notebooks call `serxai` by its name
docs: $(VENV)/.installed-docs  ## the documentation site with its notebooks run, build/docs/index.html; a warning, a broken internal link or a failed cell is an error
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs

results: install  ## board, figures and numbers of the texts from the committed records; no corpus is read
	$(BIN)/serxai results build results --out build/results

clean:
	rm -rf $(VENV) build coverage .coverage .pytest_cache .mypy_cache .ruff_cache *.egg-info
