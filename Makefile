# Developer commands; CI runs the same ones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STATE := .rededge

# Without a C compiler the PyPI wheel `ziglang` is one.
COMPILER := $(shell command -v $${CC:-cc} >/dev/null 2>&1 || echo zig)

.PHONY: install demo test lab check bench asan clean

install: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt rededge_nb/edge/switchboard.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, and $(PYTHON) is older: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is needed (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools $(if $(COMPILER),ziglang)
	$(if $(COMPILER),CC="$(abspath $(BIN))/python -m ziglang cc") \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

demo: install  ## count the people in the sample video, with notebooks and a report to show for it
	$(BIN)/rededge pipeline run --dir $(STATE)/demo -o runs

test: install check  ## every test
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -p no:cacheprovider --nbval --nbval-sanitize-with tests/notebooks/sanitize.cfg notebooks

check: install  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: install  ## JupyterLab on the notebooks, RedisEdge running
	$(BIN)/rededge lab

clean:  ## everything that was made here
	-$(BIN)/rededge down --dir $(STATE)/demo
	rm -rf $(VENV) $(STATE) build dist runs *.egg-info rededge_nb/edge/_switchboard*.so
