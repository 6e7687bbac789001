# The same few words for people and for CI. Everything is set up on first use.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
STAMP := $(VENV)/.installed

.PHONY: demo test check format docs clean

demo: $(READY)  ## set up what is missing, then the whole story on text that every machine has
	$(VENV)/bin/resurvey demo

test: check  ## set up what is missing, then lint, type-check and run all tests
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal

check: $(STAMP)
	$(VENV)/bin/ruff format --check src tests benchmarks
	$(VENV)/bin/ruff check src tests benchmarks
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(STAMP)  ## format, and mend what the linter can
	$(VENV)/bin/ruff format src tests benchmarks
	$(VENV)/bin/ruff check --fix src tests benchmarks

docs: $(STAMP)  ## write the generated parts of the documentation
	$(VENV)/bin/python docs/generate.py

# torch first and alone: resolved together with the rest, CUDA builds of several GB may come.
$(READY): pyproject.toml constraints.txt
	@echo "Setting up $(VENV): a few hundred MB of packages, once."
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[offline]"
	touch $(READY)

$(STAMP): $(READY)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[offline,dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
