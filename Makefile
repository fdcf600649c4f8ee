# Developer commands; CI runs the same ones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STATE := $(abspath .rededge)

# Without a C compiler the PyPI wheel `ziglang` is one.
COMPILER := $(shell command -v $${CC:-cc} >/dev/null 2>&1 || echo zig)

# What runs here leaves nothing in the home folder.
demo test browser asan bench fuzz kills soak: export IPYTHONDIR := $(STATE)/ipython
demo test browser asan bench fuzz kills soak: export JUPYTER_CONFIG_DIR := $(STATE)/jupyter
demo test browser asan bench fuzz kills soak: export JUPYTER_DATA_DIR := $(STATE)/jupyter
demo test browser asan bench fuzz kills soak: export JUPYTER_RUNTIME_DIR := $(STATE)/jupyter/runtime
demo test browser asan bench fuzz kills soak: export MPLCONFIGDIR := $(STATE)/matplotlib

.PHONY: install chromium browser demo test bench lab check asan fuzz kills soak binder-check env docker-check clean

install: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt $(wildcard rededge_nb/edge/switchboard/*.[ch])
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

browser: install chromium  ## the tests that look at the workbench in JupyterLab, in a real browser
	@mkdir -p $(STATE)
	$(BIN)/python -m pytest -m browser -n 2 --dist loadfile --basetemp=$(STATE)/pytest

chromium:  ## what the browser tests drive; without it they are skipped, and say so
	-@command -v chromium >/dev/null 2>&1 || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	  fi
	@command -v chromium >/dev/null 2>&1 || \
	  echo "The browser tests need chromium, and will be skipped: apt install chromium (Debian)"

# Two tests at a time on machines that others use, too: what has failed is run once more, alone, and must pass then.
TESTS = $(BIN)/python -m pytest --basetemp=$(STATE)/pytest
AGAIN = --last-failed --last-failed-no-failures none

test: install check chromium  ## every test, and every notebook against its committed outputs
	@mkdir -p $(STATE)
	$(TESTS) -m 'not browser' -n 2 --dist loadfile || $(TESTS) -m 'not browser' $(AGAIN)
	$(TESTS) -m browser -n 2 --dist loadfile || $(TESTS) -m browser $(AGAIN)
	$(BIN)/rededge up --dir $(STATE)/test --detach
	REDEDGE_DIR=$(STATE)/test $(BIN)/python -m pytest --nbval --nbval-cell-timeout 300 \
	  --nbval-sanitize-with tests/notebooks/sanitize.cfg notebooks; \
	  outcome=$$?; $(BIN)/rededge down --dir $(STATE)/test; rm -rf $(STATE)/test; exit $$outcome

check: install  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install chromium  ## what RedisEdge costs beside the bare model, against its bars, in under ten minutes
	$(BIN)/python -m benchmarks

lab: install  ## JupyterLab on the notebooks, RedisEdge running
	$(BIN)/rededge lab

asan: install  ## the switchboard's tests against a build with the address and undefined-behaviour sanitizers (needs gcc)
	mkdir -p build
	gcc -std=c11 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -Wall -Wextra -Werror -fPIC -shared \
	  -fvisibility=hidden rededge_nb/edge/switchboard/switchboard.c -o build/switchboard-asan.so
	REDEDGE_SWITCHBOARD_MODULE=build/switchboard-asan.so ASAN_OPTIONS=detect_leaks=0 \
	  REDEDGE_TEST_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  $(BIN)/python -m pytest tests/edge/switchboard/test_switchboard.py tests/faults/test_fuzz_switchboard.py

INPUTS ?= 100000
fuzz: install  ## nonsense of every kind, INPUTS=100000 of it: takes some minutes, and prints what was refused
	$(BIN)/python -m tests.faults.fuzz --inputs $(INPUTS)

KILLS ?= 200
kills: install  ## KILLS=200 processes of a whole stack killed at random moments, and every frame accounted for
	$(BIN)/python -m tests.faults.kills --kills $(KILLS)

SECONDS ?= 1800
soak: install  ## four cameras for SECONDS=1800: nothing grows, and nothing gets slower
	$(BIN)/python -m tests.faults.soak --seconds $(SECONDS)

binder-check: install  ## what Binder would do with the last commit, replayed in an empty home; prints its memory
	$(BIN)/python -m tests.binder.replay

env:  ## passwords for docker compose, in .env
	@$(PYTHON) docker/env.py .env

docker-check: install  ## build every image and run every service without Docker, as root (Debian: apt install buildah debootstrap)
	$(BIN)/python docker/check.py $(STATE)/docker-check

clean:  ## everything that was made here
	-$(BIN)/rededge down --dir $(STATE)/demo
	-$(BIN)/rededge down --dir $(STATE)/test
	rm -rf $(VENV) $(STATE) build dist runs *.egg-info rededge_nb/edge/switchboard/_switchboard.so
