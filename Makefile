# Developer commands; CI runs the same ones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STATE := $(abspath .rededge)

# setup.py compiles the Redis module with ziglang, a compiler from PyPI, where there is no other.
ZIGLANG := $(shell command -v $${CC:-cc} >/dev/null 2>&1 || echo ziglang)

# Nothing is written to the home folder.
demo test browser asan bench fuzz kills schedules soak deadlocks: export IPYTHONDIR := $(STATE)/ipython
demo test browser asan bench fuzz kills schedules soak deadlocks: export JUPYTER_CONFIG_DIR := $(STATE)/jupyter
demo test browser asan bench fuzz kills schedules soak deadlocks: export JUPYTER_DATA_DIR := $(STATE)/jupyter
demo test browser asan bench fuzz kills schedules soak deadlocks: export JUPYTER_RUNTIME_DIR := $(STATE)/jupyter/runtime
demo test browser asan bench fuzz kills schedules soak deadlocks: export MPLCONFIGDIR := $(STATE)/matplotlib

.PHONY: install chromium browser demo test check docs bench lab asan fuzz kills schedules soak deadlocks binder-check env \
  docker-check debian-check clean

install: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt $(wildcard rededge_nb/edge/switchboard/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed, and $(PYTHON) is older: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is needed (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools $(ZIGLANG)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

demo: install  ## count the people in the sample video: executed notebooks and a report in runs/
	$(BIN)/rededge pipeline run --dir $(STATE)/demo -o runs

browser: install chromium  ## the tests of the widgets and the web page, in a real browser
	@mkdir -p $(STATE)
	$(BIN)/python -m pytest tests/browser -n 2 --dist loadfile --basetemp=$(STATE)/pytest

# Playwright needs libatomic, which only some of Debian's packages bring.
chromium:  ## the browser for the browser tests; without it they are skipped, with a message
	-@command -v chromium >/dev/null 2>&1 || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium libatomic1; \
	  fi
	@command -v chromium >/dev/null 2>&1 || \
	  echo "chromium is not installed, so the browser tests will be skipped; Debian: apt install chromium"

test: install check chromium  ## every test, and every notebook against its committed outputs
	@mkdir -p $(STATE)
	$(BIN)/python -m tests.suite

check: install  ## style, types and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell -D - -D .ci/words.txt

docs: install  ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "open build/site/index.html"

bench: install chromium  ## measure RedisEdge against the bare model and against its bars; takes less than ten minutes
	$(BIN)/python -m benchmarks

OPTIONS ?=
lab: install  ## JupyterLab with the notebooks, and a running RedisEdge
	$(BIN)/rededge lab $(OPTIONS)

asan: install  ## the tests of the edge module with the address and undefined-behaviour sanitizers (needs gcc)
	mkdir -p build
	gcc -std=c11 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -Wall -Wextra -Werror -fPIC -shared \
	  -fvisibility=hidden rededge_nb/edge/switchboard/switchboard.c -o build/switchboard-asan.so
	REDEDGE_SWITCHBOARD_MODULE=build/switchboard-asan.so ASAN_OPTIONS=detect_leaks=0 \
	  REDEDGE_TEST_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  $(BIN)/python -m pytest tests/edge/switchboard tests/faults/test_fuzz_switchboard.py

INPUTS ?= 100000
fuzz: install  ## send INPUTS=100000 malformed inputs of every kind; takes some minutes, prints what was refused
	$(BIN)/python -m tests.faults.fuzz --inputs $(INPUTS)

KILLS ?= 200
STOPS ?= 50
kills: install  ## kill KILLS=200 and stop STOPS=50 processes of a whole stack at random, and account for every frame
	$(BIN)/python -m tests.faults.kills --kills $(KILLS) --stops $(STOPS)
	$(BIN)/python -m tests.faults.event_kills --kills 60

RUNS ?= 100
schedules: install  ## make RUNS=100 scheduled runs, of which some fail and some are killed, and compare all that is said
	$(BIN)/python -m tests.faults.schedules --runs $(RUNS)

SECONDS ?= 1800
soak: install  ## run four cameras, gears and pages for SECONDS=1800, and check that nothing grows or gets slower
	$(BIN)/python -m tests.faults.soak --seconds $(SECONDS)

CALLING ?= 600
deadlocks: install  ## have hooks, triggers, gears that commands wait for and models call each other for CALLING=600 s
	$(BIN)/python -m tests.faults.hook_calls --seconds $(CALLING)

binder-check: install  ## do what Binder does with the last commit, in an empty home folder; prints its memory
	$(BIN)/python -m tests.binder.replay

env:  ## passwords for docker compose, in .env
	@$(PYTHON) docker/env.py .env

docker-check: install  ## build every image and run every service without Docker, as root (Debian: apt install buildah debootstrap)
	$(BIN)/python docker/check.py $(STATE)/docker-check

SUITES ?= bookworm trixie
GCC ?= both
RUN ?= demo
debian-check:  ## run `make RUN=demo` on a minimal Debian, with and without gcc, as root (Debian: apt install debootstrap)
	$(PYTHON) docker/minimal_debian.py $(STATE)/debian-check $(SUITES:%=--suite %) --gcc $(GCC) --make '$(RUN)'

clean:  ## remove everything that was made here
	-$(BIN)/rededge down --dir $(STATE)/demo
	-$(BIN)/rededge down --dir $(STATE)/test
	rm -rf $(VENV) $(STATE) build dist runs *.egg-info rededge_nb/edge/switchboard/_switchboard.so
