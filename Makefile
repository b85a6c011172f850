# make demo: trains a real model on real data and shows it.    make test: proves the library.
PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/vae_digits
STEPS ?= 10000
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

FOUND := $(wildcard $(RUN)/report.html)

.PHONY: demo test test-newest coverage slow chaos soak mutants lint types docs format clean

demo: $(RUN)/report.html
	@$(if $(FOUND),echo "Found the environment $(VENV) and the finished run: nothing to do",echo)
	@echo "The run is in $(RUN); look at"
	@for file in samples.png reconstructions.png interpolation.png evaluation.json \
	  certificate.json report.html; do echo "  $(RUN)/$$file"; done

$(RUN)/report.html: | $(VENV)/.installed
	$(BIN)/jaxgen train vae_digits --workdir $(RUN) --steps $(STEPS)
	$(BIN)/jaxgen evaluate $(RUN)
	$(BIN)/jaxgen sample $(RUN)
	$(BIN)/jaxgen reconstruct $(RUN)
	$(BIN)/jaxgen interpolate $(RUN)
	$(BIN)/jaxgen check $(RUN)
	$(BIN)/jaxgen report $(RUN)

$(VENV)/.installed: requirements.txt setup.cfg pyproject.toml
	@echo "Setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps -e .
	@touch $@

# A worker gets the tests of a file, or of a model of the tables, together; the longest come first.
PYTEST := -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -q
QUICK := not slow and not chaos

# A part of the tests at the level of XLA that users get, the rest at the one that compiles fastest.
test: $(VENV)/.installed
	JAXGEN_TEST_OPTIMISED=1 $(BIN)/python $(PYTEST) -m "$(QUICK) and optimised"
	$(BIN)/python $(PYTEST) -m "$(QUICK) and not optimised"

# The core with the newest releases: make test-newest NEWEST=python3.13
NEWEST ?= $(shell .ci/newest)
test-newest: $(VENV)-newest/.installed
	$(VENV)-newest/bin/python $(PYTEST) -m "$(QUICK) and core"

$(VENV)-newest/.installed: setup.cfg pyproject.toml
	@$(if $(NEWEST),,echo "no Python from 3.12 on is here" && exit 1)
	@echo "Setting up $(VENV)-newest with the newest releases for $(NEWEST)"
	@$(NEWEST) -m venv $(VENV)-newest
	@$(VENV)-newest/bin/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@

coverage: $(VENV)/.installed  # the same tests, half as slow again
	$(BIN)/python $(PYTEST) -m "$(QUICK)" \
	  --cov=jaxgen --cov-report=term:skip-covered --cov-fail-under=95

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

chaos: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q tests/chaos

soak: $(VENV)/.installed
	$(BIN)/python tests/chaos/soak.py --minutes 60

mutants: $(VENV)/.installed  # two hours: the arithmetic is broken file by file, and tests go red
	$(BIN)/python tests/mutants.py --jobs 2
	$(BIN)/python tests/mutants.py --jobs 2 --check jaxgen/vae jaxgen/gan jaxgen/autoregressive

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/.installed  # links, examples that compile; the site, in which a warning is an error
	$(BIN)/python -m pytest -q tests/test_docs.py
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(VENV)-newest docs/_build runs tests/.cache .pytest_cache .ruff_cache
