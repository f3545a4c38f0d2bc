# Everything runs in .venv, which is made once, and again when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := build/demo
DEFAULT_BUNDLE := runtime/dcet/runtime/models/default.dcet
TARGETS := $(patsubst targets/dcet/targets/devices/%.toml,%,$(wildcard targets/dcet/targets/devices/*.toml))
PYTEST := $(BIN)/python -m pytest --quiet --durations=10 --numprocesses=auto --maxprocesses=4 --dist=loadfile

.PHONY: help install demo export-demo default-bundle targets test test-fast check gpu-check docs pictures wheel clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 24

install: $(INSTALLED) ## Make .venv with DCET and every tool in it

demo: $(INSTALLED) ## Play a scene with voices and faces through the shipped bundle, and measure latency
	@mkdir -p $(DEMO)
	$(BIN)/python -m dcet.demo
	$(BIN)/dcet-bench latency --turns 200 --growth-turns 10000 --size-turns 300 \
	  --html $(DEMO)/report.html --json $(DEMO)/report.json
	@printf '\nReport:  %s\nFigures: %s\n' $(DEMO)/report.html $(DEMO)/report.json

export-demo: $(INSTALLED) ## Export the shipped checkpoint in FP32, and play the same scene through that
	@mkdir -p $(DEMO)
	$(BIN)/dcet-export --target cpu --output $(DEMO)/dcet-default-cpu.dcet
	$(BIN)/python -m dcet.demo $(DEMO)/dcet-default-cpu.dcet

default-bundle: $(INSTALLED) ## Make the bundle that ships with the package, from the shipped checkpoint
	$(BIN)/dcet-export --target portable --output $(DEFAULT_BUNDLE)

targets: $(INSTALLED) ## Export the shipped checkpoint for every target, to build/targets
	$(BIN)/dcet-export $(TARGETS:%=--target %) --output build/targets

test: $(INSTALLED) ## Run all tests
	$(PYTEST)

test-fast: $(INSTALLED) ## Run the tests of runtime, data, targets and quantization
	$(PYTEST) -m 'not slow'

check: $(INSTALLED) ## Check format, lint, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ruff check --preview --select PLW1514 . # text is UTF-8, whatever the locale
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

gpu-check: ## Try this machine's GPU for eight minutes: engines, latency, trainings; installs nothing
	$(PYTHON) benchmarks/gpu_check $(GPU_CHECK)

docs: $(INSTALLED) ## Build the documentation site, to build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site

pictures: $(INSTALLED) ## Draw the pictures of README and documentation again
	$(BIN)/python docs/pictures
	$(BIN)/python -m dcet.demo --svg docs/images/demo.svg

wheel: $(INSTALLED) ## Build the wheel, to dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

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
