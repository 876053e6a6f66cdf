# Everything runs from .venv, which the first target that needs it creates; again there is nothing to do.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup quick sweep trainable reproduce status figures report submit test slurm-up slurm slurm-down check soak format bench docs clean

# A python3.x on the PATH may be a version manager's stub that only prints an error, so each candidate has to run.
# Plain python3 comes first: for the newest minor version there may be no torch yet.
usable := import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	if "$$name" -c '$(usable)' >/dev/null 2>&1; then echo "$$name"; break; fi; done)

PY := .venv/bin/python
STAMP := .venv/.installed
# Processes of the test suite; JOBS=0 keeps it in one.
JOBS ?= 2
# The textbook's penalties on the default sweep's deepest nets, in its folder: a column of their own in cures.csv.
PENALTIES := depth=64 norm=none residual=plain clip=none init=small,he_normal,large penalty=l2,l1,orthogonal
# Gates, beside recurrent nets without: a symbol is asked for after 62 steps.
GATES := depth=64 norm=none residual=plain clip=none activation=tanh init=small,xavier_normal,large data=recall data.length=63
# What `make submit` submits; SITE=... names a launcher of one's own in configs/local/hydra/launcher/.
EXPERIMENT ?= vanishing_exploding
SITE ?= slurm
# What `make figures` and `make report` draw.
FOLDER ?= results/vanishing_exploding

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## create .venv and install gradyn with the tested versions (once)

# Debian's python3 without python3-venv has no ensurepip: there the system's pip installs one into the environment.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "gradyn needs Python 3.11, 3.12 or 3.13, and none was found on the PATH. Name one: make setup PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c '$(usable)' || { echo "PYTHON must be a Python 3.11, 3.12 or 3.13; got $(PYTHON)." >&2; exit 1; }
	@$(PY) -c 'import pip' 2>/dev/null || "$(PYTHON)" -m venv --clear .venv 2>/dev/null || \
		{ "$(PYTHON)" -m venv --clear --without-pip .venv && "$(PYTHON)" -m pip --python $(PY) install pip; }
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[data,dev,slurm]'
	@touch $(STAMP)

quick: setup ## the first look: vanishing and exploding gradients in seconds
	$(PY) -m gradyn sweep experiment=quick

sweep: setup ## the default sweep, 4,320 runs, and its figures
	$(PY) -m gradyn sweep experiment=vanishing_exploding
	$(PY) -m gradyn sweep experiment=vanishing_exploding exec.figures=false $(PENALTIES)
	$(PY) -m gradyn sweep experiment=vanishing_exploding exec.figures=false $(GATES) cell=rnn
	$(PY) -m gradyn sweep experiment=vanishing_exploding exec.figures=false $(GATES) cell=lstm,gru cell.chrono=null,62
	$(PY) -m gradyn figures results/vanishing_exploding

trainable: setup ## which depth trains, under which cure, at which learning rate
	$(PY) -m gradyn sweep experiment=trainable_depth
	$(PY) -m gradyn figures results/trainable_depth

# The committed board is of all experiments; one alone is judged beside its results, and leaves a clone clean.
reproduce: setup ## every experiment and its claims; writes results/reference (ID='autodiff_*' or ID=initialization some, to results; SCALE=smoke small)
	$(PY) -m gradyn reproduce $(if $(ID),--only '$(ID)',--scoreboard results/reference) $(if $(SCALE),--scale $(SCALE))

status: setup ## how far a sweep is (FOLDER=results/...; WATCH=1 goes on looking)
	$(PY) -m gradyn status "$(FOLDER)" $(if $(WATCH),--watch)

figures: setup ## draw again from Parquet alone (FOLDER=results/...)
	$(PY) -m gradyn figures "$(FOLDER)"

report: setup ## a page of any sweep: FOLDER/report/report.html (FOLDER=results/...)
	$(PY) -m gradyn report "$(FOLDER)"

submit: setup ## submit a sweep to Slurm and leave (PARTITION=..., ACCOUNT=..., EXPERIMENT=...); again: what is missing
	$(PY) -m gradyn sweep experiment=$(EXPERIMENT) hydra/launcher=$(SITE) hydra.launcher.wait=false \
		$(if $(PARTITION),hydra.launcher.partition=$(PARTITION)) $(if $(ACCOUNT),hydra.launcher.account=$(ACCOUNT))

test: setup ## the test suite (ARGS="-k name" narrows it)
	$(PY) -m pytest -n $(JOBS) $(ARGS)

slurm-up: ## install and start a Slurm on the loopback, for the tests (Debian, root)
	@tests/slurm/node.sh up

# Three processes on any machine: most of the time they wait for the queue.
slurm: setup ## the tests that need a Slurm, on that one; fails where there is none
	GRADYN_SLURM_REQUIRED=1 $(PY) -m pytest -m slurm tests/slurm -n 3 --dist worksteal $(ARGS)

slurm-down: ## stop it, and remove what it wrote
	@tests/slurm/node.sh down

check: setup ## format, lint, types, architecture, tests: what has to pass before a commit
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest tests/test_architecture.py
	@$(MAKE) --no-print-directory test

soak: setup ## faults of every kind at random moments for ten minutes (SECONDS=600 SEED=1)
	$(PY) tests/soak.py --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))

format: setup ## rewrite the sources in the project's format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

bench: setup ## measure speed; prints hardware and versions
	$(PY) -m pytest -m bench -s $(ARGS)

docs: setup ## write docs/columns.md from the code, and what the course's and the tour's blocks print
	$(PY) docs/columns.py
	$(PY) docs/course/build.py
	$(PY) docs/tour.py

clean: ## remove caches and build products; keeps .venv and results
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage outputs multirun
	find src tests experiments docs -name __pycache__ -type d -prune -exec rm -rf {} +
