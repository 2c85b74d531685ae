# Everything a newcomer or CI calls. Nothing is installed outside this folder; `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
# Errors only: what a mirror or an old pip has to remark is no news to a newcomer.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq -c constraints.txt
TESTS ?= tests
SOURCES := $(shell ls -d src tests tools examples benchmarks 2>/dev/null)

.PHONY: help setup demo demo-video test check bench docs lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: .venv/core.stamp ## the core, into .venv
	@echo "Ready: $(BIN)/sluice --help"

demo: .venv/demo.stamp ## the main job on real pictures; SOURCE=folder takes your own
	@$(BIN)/python examples/demo.py $(if $(SOURCE),--source "$(SOURCE)")

demo-video: .venv/video.stamp ## the video journey on videos it renders; SOURCE=folder takes your own
	@$(BIN)/python examples/demo_video.py $(if $(SOURCE),--source "$(SOURCE)")

test: .venv/dev.stamp ## every test; TESTS=path runs some, PYTEST="-k name" passes options on
	@$(BIN)/python -m pytest -n 2 $(PYTEST) $(TESTS)

check: .venv/dev.stamp ## all that needs no run: style, types, import directions, generated pages, names
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python tools/docs.py --check
	@$(BIN)/python -m pytest -q tests/project/test_project_surface.py

bench: .venv/dev.stamp ## our overhead against bare loops, printed as ratios
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: .venv/dev.stamp ## write the generated pages anew
	@$(BIN)/python tools/docs.py

lock: .venv/dev.stamp ## resolve every extra together and rewrite constraints.txt
	@$(BIN)/python tools/lock.py --upgrade

clean: ## remove what the targets above made
	rm -rf .venv demo demo-video bench-data .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A stamp is renewed when what it was installed from changes, so that repeated calls cost nothing.
.venv/bin/python:
	@echo "Making a virtual environment in .venv"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Sluice needs Python 3.11 or newer; say which with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv

INSTALLED_FROM := .venv/bin/python pyproject.toml constraints.txt

.venv/core.stamp: $(INSTALLED_FROM)
	@echo "Installing the core"
	@$(PIP) -e .
	@touch $@

.venv/demo.stamp: $(INSTALLED_FROM)
	@echo "Installing the core, and scikit-image, whose wheel holds the demo's pictures"
	@$(PIP) -e ".[demo]"
	@touch .venv/core.stamp $@

.venv/video.stamp: $(INSTALLED_FROM)
	@echo "Installing the core, and PyAV, whose wheel holds FFmpeg's libraries"
	@$(PIP) -e ".[video]"
	@touch .venv/core.stamp $@

.venv/dev.stamp: $(INSTALLED_FROM)
	@echo "Installing the core, every extra, and the tools that the tests need"
	@$(PIP) -e ".[all,dev,demo]"
	@touch .venv/core.stamp .venv/demo.stamp .venv/video.stamp $@
