# Two commands on a fresh machine: `make demo` and `make test`. Both create .venv and install into it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ROOMS := audio cues datasets models methods metrics benchmark
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest

.PHONY: demo test test-long lint install install-dev clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

# in one step: resolving twice takes half a minute more; what is imported is compiled then
$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[dev,opensmile,hf,embedding,audb,onnx]'
	@touch $(VENV)/.installed $@

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

demo: install  ## rank explanation methods on the planted corpus with the bundled recogniser
	$(BIN)/serxai run

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# through a link named like the package, whatever the clone's folder is called
	@mkdir -p $(VENV)/mypy && ln -sfn ../.. $(VENV)/mypy/serxai
	cd $(VENV)/mypy && ../bin/mypy --config-file ../../pyproject.toml $(ROOMS:%=serxai/%)

test: lint  ## lint, types and all tests but the long ones
	$(PYTEST) -n 2 --ignore tests/benchmarks
	$(PYTEST) tests/benchmarks

test-long: lint  ## everything: kills, Ray, training, whole corpora
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[ray]'
	$(PYTEST) --long -n 2 --ignore tests/benchmarks
	$(PYTEST) --long tests/benchmarks

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache *.egg-info
