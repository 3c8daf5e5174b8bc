# First Token. `make run` and `make test` include all earlier steps, and can be repeated.
# `make help` prints what follows ##.

# The first supported Python on the PATH; `make run PYTHON=...` chooses another one.
FITS = -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python $(FITS) && echo $$python && break; done)
BIN := .venv/bin

.PHONY: help run test check soak setup setup-dev need-python models rebuild lock clean
.NOTPARALLEL:

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | column -t -s '|'

run: setup models ## Set up what is missing, and start the app on http://localhost:8501
	@$(BIN)/python -m scripts.port
	@$(BIN)/python -m streamlit run streamlit_app.py

test: check models ## Set up what is missing, then ruff, mypy and the whole test suite
	@$(BIN)/python -m pytest -rsR -n 2 --dist loadfile --no-loadscope-reorder

check: setup-dev ## ruff, mypy --strict, and known vulnerabilities
	@$(BIN)/ruff check
	@$(BIN)/mypy --strict
	@$(BIN)/python -m scripts.audit

soak: setup-dev models ## The tests that run long
	@$(BIN)/python -m pytest -rs -m soak --timeout 0

setup: need-python
	@$(PYTHON) -m scripts.setup

setup-dev: need-python
	@$(PYTHON) -m scripts.setup --dev

need-python:
	@test -n "$(PYTHON)" && $(PYTHON) $(FITS) || { echo "First Token needs Python 3.11, 3.12, 3.13 or 3.14, and found" \
	"none: install one (Debian, Ubuntu: sudo apt install python3 python3-venv; macOS: brew" \
	"install python), or name it: make run PYTHON=python3.12" >&2; exit 1; }

models:
	@$(BIN)/python -m scripts.models

rebuild: need-python ## Compile llama.cpp again: on another processor, or with other CMAKE_ARGS
	@$(PYTHON) -m scripts.setup --rebuild

lock: need-python ## Pin in constraints.txt what the requirement files need, keeping its versions
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet -c constraints.txt \
		-r requirements.txt -r requirements-dev.txt
	.venv-lock/bin/pip freeze > .venv-lock/constraints.txt
	mv .venv-lock/constraints.txt constraints.txt
	rm -rf .venv-lock

clean: ## Remove the environment and the tools' caches; documents and models stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
