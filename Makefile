# Each target sets up what it needs; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
export PYTHON

ENV := . .state/env
# What every Pulumi command needs; only new containers need an image.
READY := tools/docker.sh check && tools/python.sh && tools/pulumi-cli.sh && tools/docker-plugin.sh

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: setup ## set everything up, bring the stack dev up, print its families
	@$(ENV) && pulumi up --yes --skip-preview --suppress-outputs
	@$(ENV) && echo && hermes-fleet list --live

.PHONY: preview
preview: setup ## show what `make up` would change
	@$(ENV) && pulumi preview --diff

.PHONY: down
down: ## remove the containers of the stack dev; the families' data stays
	@if [ ! -d .state/backend ]; then echo "==> there is no stack dev: nothing to remove"; exit; fi; \
	$(READY) && tools/stack.sh && $(ENV) && pulumi destroy --yes --skip-preview && \
	echo "==> the families' data volumes are still there: docker volume ls --filter name=hermes-user-"

.PHONY: setup
setup: ## only set up: Python, Pulumi, plugin, image, stack (no container)
	@$(READY) && tools/image.sh pick && tools/stack.sh

.PHONY: docker
docker: ## install and start a Docker daemon (root on Debian or Ubuntu)
	@tools/docker.sh start

.PHONY: image
image: ## build images of the real hermes-agent (VARIANTS="0.19.0 0.15.1 0.19.0-s6 0.15.1-s6")
	@tools/docker.sh check
	@tools/image.sh build $(VARIANTS)

.PHONY: plugin
plugin: ## download the official docker plugin, also after a refusal
	@tools/python.sh
	@tools/pulumi-cli.sh
	@tools/docker-plugin.sh again

.PHONY: test
test: ## set everything up, then run every test (ARGS="tests/engine -k name" runs some)
	@tools/test.sh all $(ARGS)

.PHONY: unit
unit: ## run the unit tests, which need nothing but Python (ARGS="-k name" runs some)
	@tools/test.sh unit $(ARGS)

.PHONY: check
check: ## format, lint, types, imports, words, shellcheck, schema freshness, workflows
	@tools/check.sh

.PHONY: bench
bench: ## measure the fleet against bare programs; fail over the agreed ratios (ARGS go to the benchmarks)
	@tools/python.sh dev
	@tools/pulumi-cli.sh
	@tools/docker-plugin.sh
	@. tools/no-proxy.sh && PATH="$(CURDIR)/.venv/bin:$$(cat .tools/pulumi-bin):$$PATH" python -m benchmarks $(ARGS)

.PHONY: fmt
fmt: ## format the code and apply the linter's fixes
	@tools/python.sh dev
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

.PHONY: schema
schema: ## generate families.schema.json from the models
	@tools/python.sh
	@.venv/bin/python -m fleet schema --write

.PHONY: lock
lock: ## lock all requirements with hashes (ARGS=--upgrade moves to newer versions)
	@tools/python.sh dev
	@tools/lock.sh $(ARGS)
