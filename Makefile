# Needs Python 3.11+ and make, nothing else. `make run` shows the portal at http://127.0.0.1:8000; `make test` proves it.
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then echo $$p; exit; fi; \
	done; echo python3)
VENV := .venv/bin
TRIAL ?=
NAME ?=
ARGS ?=

.PHONY: help install run test check fix bench import-sdtm import-table backup restore shell clean \
	train deploy rollback compare ingest quality backfill data data-pull data-push
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

install:
	@$(PYTHON) tools/bootstrap.py

install-all:
	@$(PYTHON) tools/bootstrap.py --extra test --extra dev

run: install  ## the whole platform with simulated patients, in the foreground; Ctrl-C stops everything
	@$(VENV)/python -m clinical_portal.run

test:  ## every test, with the servers they need (ARGS="-k name" picks some)
	@$(PYTHON) tools/bootstrap.py --extra test --extra dev --browser
	@$(VENV)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: install-all  ## format, lint, types, import contracts, migrations, generated docs
	@$(VENV)/python -m tools.check

fix: install-all  ## mend what can be mended by machine
	@$(VENV)/ruff check --fix --quiet . ; $(VENV)/ruff format --quiet .

bench: install-all  ## benchmarks; NAME=serving runs one
	@$(VENV)/python -m clinical_portal.servers exec -- $(VENV)/python -m benchmarks $(NAME)

import-sdtm: install  ## FROM=folder of .xpt files [TRIAL=id]: a real trial through the same way
	@test -n "$(FROM)" || { echo 'say which folder: make import-sdtm FROM=path/to/study'; exit 2; }
	@$(VENV)/python -m clinical_portal.servers exec -- sh -c '$(VENV)/python manage.py migrate --noinput --verbosity 0 \
		&& $(VENV)/python manage.py demo_prepare --only people && exec $(VENV)/python manage.py import_sdtm "$$@"' \
		import-sdtm "$(FROM)" $(if $(TRIAL),--trial "$(TRIAL)")

import-table: install  ## FILE=table.csv TRIAL=id MAP=mapping.json: vitals and laboratory results; without MAP a guess to correct
	@test -n "$(FILE)" || { echo 'say which file: make import-table FILE=path/to/table.csv TRIAL=id MAP=mapping.json'; exit 2; }
	@$(VENV)/python -m clinical_portal.servers exec -- $(VENV)/python manage.py import_table --file "$(FILE)" \
		$(if $(TRIAL),--trial "$(TRIAL)") $(if $(MAP),--mapping "$(MAP)")

backup: install  ## TO=new folder: database and lake, with hashes
	@test -n "$(TO)" || { echo 'say where to: make backup TO=path/of/a/new/folder'; exit 2; }
	@$(VENV)/python -m clinical_portal.servers exec -- $(VENV)/python -m clinical_portal.backup make "$(TO)"

restore: install  ## FROM=backup folder: into an empty database and lake (make clean empties these)
	@test -n "$(FROM)" || { echo 'say from where: make restore FROM=path/of/a/backup'; exit 2; }
	@$(VENV)/python -m clinical_portal.servers exec -- $(VENV)/python -m clinical_portal.backup restore "$(FROM)"

# The operators' doors: management commands with the servers' addresses set; ARGS="--help" tells all of one's options.
MANAGE = $(VENV)/python -m clinical_portal.servers exec -- $(VENV)/python manage.py
TRIAL_OR_DEMO = $(or $(TRIAL),DEMO)

train: install  ## [TRIAL=id] [ARGS="--epochs 20 --start-date 2026-01-01"]: train a candidate now
	@$(MANAGE) train "$(TRIAL_OR_DEMO)" $(ARGS)

deploy: install  ## VERSION=n [TRIAL=id] [AS=person]: what it lacks to serve; one signature for it
	@test -n "$(VERSION)" || { echo 'say which version: make deploy VERSION=2 [AS=person]'; exit 2; }
	@$(MANAGE) deploy "$(TRIAL_OR_DEMO)" "$(VERSION)" $(if $(AS),--as "$(AS)") $(ARGS)

rollback: install  ## AS=person REASON="why" [TRIAL=id]: the version before serves again, at once
	@test -n "$(AS)" && test -n "$(REASON)" || { echo 'say who and why: make rollback AS=person REASON="…"'; exit 2; }
	@$(MANAGE) rollback "$(TRIAL_OR_DEMO)" --as "$(AS)" --reason "$(REASON)"

compare: install  ## B=n [A=n] [TRIAL=id]: two versions on patients that neither has learned from
	@test -n "$(B)" || { echo 'say which: make compare A=1 B=2 (without A the one that serves)'; exit 2; }
	@$(MANAGE) compare "$(TRIAL_OR_DEMO)" $(if $(A),--one "$(A)") --two "$(B)" $(ARGS)

ingest: install  ## FROM=folder or file [TRIAL=id]: history (SDTM, a table, files of messages)
	@test -n "$(FROM)" || { echo 'say from where: make ingest FROM=path'; exit 2; }
	@$(MANAGE) ingest "$(FROM)" $(if $(TRIAL),--trial "$(TRIAL)") $(ARGS)

quality: install  ## hold the data plane against its limits (beat does so every four hours)
	@$(MANAGE) quality $(ARGS)

backfill: install  ## FROM=day TO=day [TRIAL=id]: the features of these days once more
	@test -n "$(FROM)" && test -n "$(TO)" || { echo 'say which days: make backfill FROM=2026-01-01 TO=2026-01-07'; exit 2; }
	@$(MANAGE) backfill "$(TRIAL_OR_DEMO)" --from "$(FROM)" --to "$(TO)" $(ARGS)

data: install  ## make the project's own data and model again: what has changed, from a seeded simulation on
	@$(VENV)/python -m tools.dvc repro $(ARGS)

data-pull: install  ## fetch the files of data/ from the DVC remote
	@$(VENV)/python -m tools.dvc pull $(ARGS)

data-push: install  ## keep the files of data/ in the DVC remote
	@$(VENV)/python -m tools.dvc push $(ARGS)

shell: install-all  ## your shell with the servers up and their addresses set
	@$(VENV)/python -m clinical_portal.servers shell

clean:  ## stop the servers and throw away var/ (every value in it can be made again)
	@if [ -x $(VENV)/python ]; then $(VENV)/python -m clinical_portal.servers down; fi
	@if [ -f var/postgres/moved-to ]; then rm -rf -- "$$(cat var/postgres/moved-to)"; fi
	@rm -rf var .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
