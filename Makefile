# Two commands matter: `make demo` and `make test`. Everything lives in .venv and var/.
SHELL := /bin/bash -o pipefail
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

# uv does not read pip's settings; pass on a local folder of wheels. On Linux, take the CPU build of torch.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
ifeq ($(strip $(UV_FIND_LINKS)),)
unexport UV_FIND_LINKS
ifeq ($(shell uname -s),Linux)
export UV_TORCH_BACKEND ?= cpu
endif
endif

# Where bytecode is not kept, each of the many processes of a test compiles anew what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo up test test-all unit coverage sso lint counts format lock clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

install: $(STAMP) ## Prepare .venv, so that .venv/bin/recsaas works

$(STAMP): requirements.txt requirements-torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "recsaas needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(PY) || { echo "Making $(VENV) …"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing the pinned packages (half a minute when the cache is warm, minutes when it is not) …"
	@$(PY) -m pip install --quiet --disable-pip-version-check "uv==0.13.8" || { echo "pip could not install uv: is the package registry reachable?"; exit 1; }
	@$(VENV)/bin/uv pip install --compile-bytecode --python $(PY) --require-hashes -r requirements.txt || { echo "uv failed; trying pip, which is slower …"; $(PY) -m pip install --disable-pip-version-check --require-hashes -r requirements.txt; }
	@$(VENV)/bin/uv pip install --compile-bytecode --python $(PY) --no-deps -r requirements-torch.txt || $(PY) -m pip install --disable-pip-version-check --no-deps -r requirements-torch.txt
	@$(VENV)/bin/uv pip install --quiet --python $(PY) --no-deps --editable . || $(PY) -m pip install --quiet --no-deps --editable .
	@touch $(STAMP)

demo: install ## From nothing to live recommendations; ONCE=1 exits after printing them
	@$(VENV)/bin/recsaas demo $(if $(filter-out 0 no false,$(ONCE)),--once) $(if $(DATASET),--dataset $(DATASET))

up: install ## Start the Dagster UI, its daemon and the service
	@$(VENV)/bin/recsaas up

# Whole files, in the order of tests/conftest.py. Not `loadgroup`: with this pytest it passes over the marks of groups
# (https://github.com/pytest-dev/pytest-xdist/issues/1386).
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
PYTEST := $(PY) -m pytest $(WORKERS) --durations=10

test: install lint ## What must be green before a commit
	$(PYTEST) -m "not long"

test-all: install ## The long tests beside those of `make test`: attacks, floods, kills, fuzzing; one at a time, as they measure
	$(PY) -m pytest -m long --durations=10

unit: install ## The fast tests alone, on SQLite: none of them starts a process that takes seconds
	$(PYTEST) -m "not e2e and not long and not postgresql" tests/unit tests/architecture

# With the children of every test: each leaves a file of its own below var/.
coverage: export COVERAGE_FILE := $(CURDIR)/var/coverage/data
coverage: install ## Lines and branches that `make test` runs, in all processes; the ten barest files
	@rm -rf var/coverage && mkdir -p var/coverage
	$(PY) -m coverage run -m pytest $(WORKERS) -m "not long"
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report --sort=cover | sed -n -e '1,12p' -e '$$p'

sso: ## Put the OpenID provider of tests/sso in place, where there is npm; without it, its test is skipped
	@command -v npm > /dev/null || { echo "There is no npm here: the test with a real OpenID provider will be skipped."; exit 0; }; cd tests/sso && npm ci --ignore-scripts --no-audit --no-fund || echo "npm could not install it: its test will be skipped."

lint: install ## ruff, mypy, bandit, and a search for secrets
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m bandit --quiet --severity-level medium --configfile pyproject.toml --recursive resources recsaas_assets bento_service
	@git ls-files -z $(SEARCHED_FOR_SECRETS) | xargs -0 $(VENV)/bin/detect-secrets-hook --exclude-lines '$(INVENTED)'

# Not tests, whose keys and passwords open nothing but what a test has made, nor hashes of packages.
SEARCHED_FOR_SECRETS := -- . ':!tests' ':!requirements*.txt' ':!*.png' ':!*.sql'
# Passwords of examples in messages and documents. Other exceptions stand beside their lines (`pragma: allowlist secret`).
INVENTED := (user|recsaas|app|mail|mailer):(password|secret|…)@|four (other )?words

counts: install ## Sizes of the code: files, rooms, longest functions; ROOT=PATH counts another checkout
	@$(PY) -m tests.architecture.counts --root $(or $(ROOT),.)

format: install ## Let ruff rewrite
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

# The same version of torch is another file where it is built for CPUs, so it has no hash and a file of its own: in a file
# with hashes pip and uv take nothing without one. BentoML adds a line without a hash to a Bento's requirements, so those
# have none either. What is pinned already stays pinned as long as it fits; remove the line from requirements.txt to renew.
PINS := requirements.txt requirements-torch.txt
COMPILE = $(VENV)/bin/uv pip compile -q pyproject.toml --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(PINS:%=-c %)

lock: install ## Resolve the pins, with hashes, without index addresses and without local versions such as +cpu
	@$(COMPILE) --all-extras --generate-hashes --no-emit-package torch > .requirements.new
	@$(COMPILE) --all-extras | grep '^torch==' | sed -E 's/\+cpu$$//' > .requirements-torch.new
	@$(COMPILE) --extra serving --generate-hashes > .requirements-serving.new
	@$(COMPILE) --extra serving > .requirements-bento.new
	@{ echo "# Every pin of every extra but torch, for Python 3.11 on Linux. Made by: make lock. Reasons for pins are in pyproject.toml."; cat .requirements.new; } > requirements.txt
	@{ echo "# Without a hash: the CPU build of this version is another file than the usual one. Made by: make lock."; cat .requirements-torch.new; } > requirements-torch.txt
	@{ echo "# The pins of the service alone: no dagster, no dbt, no torch. Made by: make lock."; cat .requirements-serving.new; } > requirements-serving.txt
	@{ echo "# requirements-serving.txt without hashes: BentoML adds a line of its own, which has none. Made by: make lock."; cat .requirements-bento.new; } > requirements-bento.txt
	@rm .requirements.new .requirements-*.new

clean: ## Remove .venv and all state (asks first)
	@printf 'Remove $(VENV) and var/ with all uploads and releases? [y/N] '; read answer; [ "$$answer" = y ] && rm -rf $(VENV) var || echo "Nothing removed."
