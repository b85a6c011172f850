# make demo: trains a real model on real data and shows it.    make test: proves the library.
PYTHON ?= python3
VENV ?= .venv
RUN ?= runs/vae_digits
STEPS ?= 10000
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

FOUND := $(wildcard $(RUN)/report.html)

.PHONY: demo test coverage slow chaos soak lint format clean

demo: $(RUN)/report.html
	@$(if $(FOUND),echo "Found the environment $(VENV) and the finished run: nothing to do",echo)
	@echo "The run is in $(RUN); look at"
	@for file in samples.png reconstructions.png interpolation.png evaluation.json \
	  certificate.json report.html; do echo "  $(RUN)/$$file"; done

$(RUN)/report.html: | $(VENV)/.installed
	$(BIN)/python -m experiments.vae_digits --workdir $(RUN) --steps $(STEPS)
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

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q \
	  -m "not slow and not chaos"

coverage: $(VENV)/.installed  # the same tests, half as slow again
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q \
	  -m "not slow and not chaos" --cov=jaxgen --cov-report=term:skip-covered --cov-fail-under=90

slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow

chaos: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadgroup -q tests/chaos

soak: $(VENV)/.installed
	$(BIN)/python tests/chaos/soak.py --minutes 60

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) runs tests/.cache .pytest_cache .ruff_cache
