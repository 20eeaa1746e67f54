# Every target sets the project up first; nothing but make, sh, python3 and pip is assumed.
# ARGS is passed on: make demo ARGS="--keep-running", make test ARGS="-k journal".

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Hash order is pinned so that a run can be repeated; set PYTHONHASHSEED to vary it.
export PYTHONHASHSEED ?= 0
# Each command is a process of its own: without bytecode every start would compile the tree anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
STAMP := .venv/.set-up-from-lock
# One more than there are cores: tests of real processes wait for the clock, the others compute.
TEST_WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
SBOM ?= squareoff.cdx.json
UV ?= .tools/uv/bin/uv
ARGS ?=

.PHONY: help setup demo test check campaign format docs docs-site campaign-kill campaign-bugs soak sbom

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | \
	  while IFS='|' read -r target text; do printf '%-14s %s\n' "$$target" "$$text"; done

setup: $(STAMP) ## Make .venv from uv.lock (done by every other target when needed)

$(STAMP): uv.lock pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh $(STAMP)

demo: $(STAMP) ## Rehearse the main job end to end against the broker simulator
	@.venv/bin/squareoff demo $(ARGS)

# Workers share nothing; tests of one service stay together (xdist_group, set in tests/conftest.py)
# so that one throw-away server per service is started in a run.
test: $(STAMP) ## Run all tests
	@$(PYTHON) -m pytest -n $(TEST_WORKERS) --dist loadgroup $(ARGS)

campaign-kill: $(STAMP) ## Kill, freeze and cut the power everywhere; ARGS=power, crashes or kills
	@$(PYTHON) -m squareoff.simulator.rehearsal $(ARGS)

campaign-bugs: $(STAMP) ## Try every seeded bug: its check must catch it (ARGS="--only NAME --jobs N")
	@$(PYTHON) scripts/run_seeded_bugs.py $(ARGS)

soak: $(STAMP) ## Run an engine under a full feed with faults for an hour (ARGS="--seconds N --report docs/evidence")
	@$(PYTHON) -m squareoff.simulator.soak $(ARGS)

check: $(STAMP) ## Run format, lint and type checks, then all tests
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@$(MAKE) --no-print-directory test

campaign: $(STAMP) ## Run simulated exits over all cores and report (ARGS="--exits N --fuzz N --report FILE")
	@$(PYTHON) -m squareoff.simulator.campaign $(ARGS)

format: $(STAMP) ## Format the code and apply safe lint fixes
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

docs: $(STAMP) ## Write the generated parts of docs/ again
	@$(PYTHON) scripts/generate_docs.py

# Nobody's browser fetches anything from elsewhere; without npm the diagrams are shown as text.
docs-site: $(STAMP) ## Build the documentation as a site into site/
	@sh scripts/get_mermaid.sh .tools/mermaid.min.js || echo "docs-site: diagrams are shown as text" >&2
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --quiet

sbom: $(STAMP) ## Write the bill of materials of what runs with squareoff, as CycloneDX (SBOM=FILE)
	@$(UV) export --frozen --offline --no-dev --no-group docs --quiet \
	  --preview-features sbom-export --format cyclonedx1.5 --output-file $(SBOM) >/dev/null
	@echo "$(SBOM)"
