# The same few words for people and for CI. Everything is set up on first use.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
STAMP := $(VENV)/.installed

.PHONY: demo test check format docs browser fuse clean

demo: $(READY)  ## set up what is missing, then the whole story on text that every machine has
	$(VENV)/bin/resurvey demo

test: check browser fuse  ## set up what is missing, then lint, type-check and run all tests
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

# The report is looked at in a real browser. Without one those tests are skipped, or fail where CI=true.
browser:  ## Debian's Chromium, where it is missing and may be installed
	@give_up() { echo "$$1; the tests that open pages are skipped"; test "$$CI" != true; }; \
	if command -v chromium || command -v chromium-browser; then exit 0; fi >/dev/null; \
	if ! command -v apt-get >/dev/null; then give_up "No chromium, and no apt-get to install it"; exit; fi; \
	if test "$$(id -u)" = 0; then as=; elif sudo -n true 2>/dev/null; then as=sudo; \
	else give_up "No chromium, and no right to install it (apt-get install chromium)"; exit; fi; \
	echo "Installing Debian's chromium, for the tests that open pages"; \
	$$as apt-get update -qq >/dev/null; \
	$$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	  chromium fonts-dejavu-core >/dev/null 2>&1 || give_up "apt-get could not install chromium"

# Power losses happen on a file system of the tests' own. Without FUSE those tests are skipped, or fail where CI=true.
fuse:  ## Debian's fuse3, where it is missing and may be installed
	@give_up() { echo "$$1; the tests of power losses are skipped"; test "$$CI" != true; }; \
	if command -v fusermount3 >/dev/null; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then give_up "No fuse3, and no apt-get to install it"; exit; fi; \
	if test "$$(id -u)" = 0; then as=; elif sudo -n true 2>/dev/null; then as=sudo; \
	else give_up "No fuse3, and no right to install it (apt-get install fuse3)"; exit; fi; \
	echo "Installing Debian's fuse3, for the tests of power losses"; \
	$$as apt-get update -qq >/dev/null; \
	$$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	  fuse3 libfuse3-3 >/dev/null 2>&1 || give_up "apt-get could not install fuse3"

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
