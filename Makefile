# Everything runs in .venv, which is made once, and again when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := build/demo
BUNDLE := $(DEMO)/dcet-default.dcet
TARGETS := $(patsubst targets/dcet/targets/devices/%.toml,%,$(wildcard targets/dcet/targets/devices/*.toml))

.PHONY: help install demo targets test check clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

install: $(INSTALLED) ## Make .venv with DCET and every tool in it

demo: $(INSTALLED) ## Export the shipped checkpoint, play a scene with voices and faces, measure latency
	@mkdir -p $(DEMO)
	$(BIN)/dcet-export --target cpu --output $(BUNDLE)
	$(BIN)/python -m dcet.demo $(BUNDLE)
	$(BIN)/dcet-bench latency $(BUNDLE) --turns 200 --growth-turns 10000 \
	  --html $(DEMO)/report.html --json $(DEMO)/report.json
	@printf '\nBundle:  %s\nReport:  %s\nFigures: %s\n' \
	  $(BUNDLE) $(DEMO)/report.html $(DEMO)/report.json

targets: $(INSTALLED) ## Export the shipped checkpoint for every target, to build/targets
	$(BIN)/dcet-export $(TARGETS:%=--target %) --output build/targets

test: $(INSTALLED) ## Run the tests
	$(BIN)/python -m pytest --quiet --durations=10 --numprocesses=auto --maxprocesses=4 --dist=loadfile

check: $(INSTALLED) ## Check format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

clean: ## Remove what was built and cached; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "DCET needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
	  echo "Name another one, for example: make $(or $(firstword $(MAKECMDGOALS)),install) PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -m venv .venv || { \
	  echo "Could not make .venv with '$(PYTHON)'. On Debian and Ubuntu, install its venv package" \
	    "(python3-venv) first." >&2; \
	  exit 1; }
	@echo "Installing DCET into .venv; the first time takes a few minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	@touch $@
