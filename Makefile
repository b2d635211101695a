# Every target does its own set-up. `make help` lists them.
SHELL := /bin/sh
PY := .venv/bin/python
W := .venv/bin/wayfare
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"

# What a program compiles is kept: without it, each of thousands of starts compiles all anew.
export PYTHONDONTWRITEBYTECODE :=

# make demo CUSTOMERS=FILE   customers from a CSV or Parquet file instead of the generator
# make demo CLUSTER=KUBECONFIG LOAD='kind load docker-image'   any other cluster instead of the lab
CUSTOMERS ?=
CLUSTER ?=
LOAD ?=
ARGS ?=
ONLY ?=
SCALE ?=
SEED ?=
RUNS ?=
MINUTES ?=
DRILLS ?=
SENDS ?=
KILLS ?=

.PHONY: help setup packages test-packages demo demo-down rebuild test check format generate lock image lab-up lab-down bench chaos chaos-lab chaos-recovery chaos-sends soak soak-drills clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## make .venv from the lock file (done by the other targets too)
	@scripts/setup

packages: setup ## install the Debian packages that the lab needs (root on Debian only)
	@scripts/debian-packages || [ $$? = 3 ]

test-packages: setup ## install the Debian packages that all tests need (root on Debian only)
	@scripts/debian-packages --tests || [ $$? = 3 ]

demo: packages ## the main job, for real: lab, operator, engine, decisions; writes build/demo.json
	@$(RUN) $(PY) -m demo.run --json build/demo.json \
	  $(if $(CUSTOMERS),--customers "$(CUSTOMERS)") $(if $(CLUSTER),--cluster "$(CLUSTER)") \
	  $(if $(LOAD),--load "$(LOAD)") $(ARGS)

rebuild: setup ## a site is lost with its disk and rebuilt from the bucket alone; writes build/rebuild.json
	@$(RUN) $(PY) -m demo.rebuild --json build/rebuild.json \
	  $(if $(CUSTOMERS),--customers "$(CUSTOMERS)") $(ARGS)

demo-down: setup ## remove what the demo made, the lab too
	@$(RUN) $(PY) -m demo.down $(if $(CLUSTER),--cluster "$(CLUSTER)") $(ARGS)

test: test-packages ## all tests (one folder or test: make test ARGS=tests/unit)
	@$(RUN) scripts/test $(ARGS)

check: setup ## format, lint, types, imports, generated files
	@$(RUN) scripts/check

format: setup ## format the code and mend what the linter can
	@$(RUN) ruff format -q . && $(RUN) ruff check -q --fix .

generate: setup ## write the generated files anew (CRDs, RBAC rules, tables in the docs)
	@$(RUN) scripts/generate

lock: setup ## resolve the dependencies anew
	@$(RUN) scripts/lock

image: packages ## build the container image into build/image/
	@$(RUN) scripts/image

lab-up: packages ## two Kubernetes sites on this machine
	@$(W) lab up --sites east,west

lab-down: setup ## remove the lab
	@$(W) lab down

bench: setup ## benchmarks, each a ratio against its baseline; writes build/bench.json (ONLY=journal SCALE=0.1)
	@$(RUN) $(PY) -m bench.run $(if $(ONLY),--only $(ONLY)) $(if $(SCALE),--scale $(SCALE)) $(ARGS)

chaos: test-packages ## seeded fault schedules over two sites (SEED=1 RUNS=300); a seed that fails is printed
	@$(RUN) $(PY) -m tests.chaos.run $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(ARGS)

chaos-recovery: test-packages ## seeded schedules of recovery runs and faults, by real operators (SEED=1 RUNS=300)
	@$(RUN) $(PY) -m tests.chaos_recovery.run $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(ARGS)

chaos-lab: setup ## seeded schedules of runs and faults on the lab that `make demo` left (SEED=1 RUNS=10)
	@$(RUN) $(PY) -m tests.e2e.schedules $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(ARGS)

chaos-sends: test-packages ## many sends through workers that are killed (SENDS=100000 KILLS=20 SEED=1)
	@$(RUN) $(PY) -m tests.chaos.sends $(if $(SENDS),--sends $(SENDS)) $(if $(KILLS),--kills $(KILLS)) \
	  $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: test-packages ## chaos with ever new seeds for MINUTES=60; every seed that fails is printed
	@$(RUN) $(PY) -m tests.chaos.run --minutes $(or $(MINUTES),60) --keep-going $(if $(SEED),--seed $(SEED)) $(ARGS)

soak-drills: setup ## drills back to back beside a production that serves, on the lab of `make demo` (DRILLS=30)
	@$(RUN) $(PY) -m tests.e2e.drills $(if $(DRILLS),--drills $(DRILLS)) $(ARGS)

clean: ## remove build/ and .venv
	@rm -rf build .venv
