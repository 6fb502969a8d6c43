# Every target sets up what it needs, in .venv, from hash-pinned requirements.

PYTHON ?= python3
# Where `python3` is older than 3.11, others are tried; a PYTHON of your own choice is taken as it is.
PYTHONS := $(if $(filter python3,$(PYTHON)),python3 python3.13 python3.12 python3.11,$(PYTHON))

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint bench bench-compare docs screens vm deb lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

demo: .venv/.demo-ready ## see it work, in seconds: agent, library and command line, no virtual machine
	@$(BIN)/python -m qga.demo

# Many tests wait, for a guest or a deadline: two processes take little more than half the time.
JOBS ?= 2
test: .venv/.ready ## run all tests, slow ones and those with virtual machines too
	@$(BIN)/python -m pytest -ra -m "" -n $(JOBS) --dist loadfile

lint: .venv/.ready ## check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# `make bench OPTIONS="--agents --host"` measures these parts, and the page has them alone.
bench: .venv/.ready ## measure speed and size, of the agents and of the library; writes docs/performance.md
	@$(BIN)/python -m benchmarks $(OPTIONS) --page docs

REV ?= HEAD
bench-compare: .venv/.ready ## the same beside an earlier commit's agent: make bench-compare REV=v0.1
	@$(BIN)/python -m benchmarks.compare $(REV) $(OPTIONS)

docs: .venv/.ready ## write the documentation as HTML, with a page for each command, and manual pages, to build/docs
	@$(BIN)/python -m docs.build

screens: .venv/.ready ## take the pictures of qga at work in docs/screens, with virtual machines and tmux
	@$(BIN)/python -m docs.screens

vm: .venv/.ready ## boot a virtual machine with the agent in it
	@$(BIN)/python -m tests.vm

deb: ## build the Debian package of the agent, into dist/
	@$(firstword $(PYTHONS)) packaging/build_deb.py

# Needs uv. Settles again what pyproject.toml asks for; `make lock UPGRADE=--upgrade` takes newer versions.
LOCK := uv --no-config pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(UPGRADE) pyproject.toml
lock: ## pin requirements/*.txt again
	@$(LOCK) --extra cli --extra fast --extra proxmox --group dev --output-file requirements/dev.txt
	@$(LOCK) --extra libvirt --constraint requirements/dev.txt --no-annotate \
		--output-file requirements/libvirt.txt
	@$(LOCK) --extra cli --extra fast --group build --constraint requirements/dev.txt \
		--no-annotate --output-file requirements/demo.txt

clean: ## remove .venv, caches and builds
	@rm -rf .venv .cache build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# libvirt's own module comes as source alone. What it is built with is in the development set.
LIBVIRT := pkg-config --exists libvirt 2>/dev/null && echo "Building libvirt-python for .venv" && \
	$(PIP_INSTALL) --require-hashes --no-deps --no-build-isolation -r requirements/libvirt.txt

# The virtual environment, with the first Python that is new enough and runs.
.venv/.created:
	@for python in $(PYTHONS); do \
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Creating .venv with $$("$$python" --version)"; \
	        "$$python" -m venv --clear .venv && touch $@ && exit; \
	        echo 'No virtual environment without venv: on Debian, apt-get install python3-venv' >&2; exit 1; \
	    fi; \
	done; \
	echo 'qga needs Python 3.11 or newer; none of these is: $(PYTHONS). Name one: make PYTHON=/path/to/python3' >&2; \
	exit 1

# What the demo needs: a few seconds. The development set holds the same versions, and more.
.venv/.demo-ready: .venv/.created requirements/demo.txt pyproject.toml
	@echo "Installing qga[cli,fast] into .venv"
	@$(PIP_INSTALL) --require-hashes -r requirements/demo.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.ready: .venv/.created requirements/dev.txt requirements/libvirt.txt pyproject.toml
	@echo "Installing qga and its development tools into .venv"
	@$(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@$(LIBVIRT) || echo 'Without libvirt-python, so some tests are skipped. It is built where this is' \
	    'there: apt-get install gcc libvirt-dev pkg-config python3-dev'
	@touch $@
