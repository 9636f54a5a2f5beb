# The verbs of this project; `make help` lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve call test check bench bench-scale image cluster-certs e2e proto lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV_VERSION := 0.13.9
ENGINE ?= docker
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= localhost/recommendations:$(VERSION)
COMMIT_EPOCH = $(shell git log -1 --format=%ct)

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(READY) certs/dev/ca.crt var/.shop ## set up what is missing, then run the service with the sample bookshop
	@exec $(BIN)/recommendations serve --hints

call: $(READY) ## ask the running service for a reader's recommendations (ARGS="--help" for more)
	@exec $(BIN)/recommendations call $(ARGS)

test: $(READY) ## run the whole test-suite (ARGS="-k name" for a part of it)
	$(BIN)/python -m pytest --numprocesses 2 $(ARGS)

check: $(READY) ## linters, types and contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/buf lint protobufs
	$(BIN)/buf format --diff --exit-code protobufs
	$(BIN)/buf breaking protobufs --against tests/contracts/released.binpb

bench: $(READY) ## throughput of the whole chain beside a handler of constant bytes, and of writes (needs h2load)
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.writes

bench-scale: $(READY) ## a shop of a million books and forty million interactions beside the sample shop (2 GB of disk, five minutes)
	$(BIN)/python -m tests.bench.scale $(ARGS)

image: ## build the container image (IMAGE=name:tag, BASE=a Debian with Python, ENGINE=docker or podman)
	$(ENGINE) build $(if $(BASE),--build-arg BASE=$(BASE)) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
		--build-arg CREATED=$$(date --utc --date @$(COMMIT_EPOCH) +%Y-%m-%dT%H:%M:%SZ) $(BUILD_ARGS) --tag $(IMAGE) .

cluster-certs: k8s/overlays/dev/certs/ca.crt ## make the certificates that k8s/overlays/dev wants

e2e: $(READY) ## drills on the cluster that KUBECONFIG names (needs IMAGE in it)
	$(BIN)/python -m tests.e2e $(ARGS)

proto: $(READY) ## generate the code of the contracts anew
	cd protobufs && ../$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. --grpc_python_out=. \
		$$(find . -name '*.proto' | sed 's|^\./||' | sort)

lock: ## resolve the dependencies of pyproject.toml into the three locks
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet uv==$(UV_VERSION)
	$(RESOLVE) --group dev --output-file requirements.lock pyproject.toml
	$(RESOLVE) --constraint requirements.lock --output-file requirements-run.lock pyproject.toml
	$(RESOLVE) --constraint requirements.lock --group image --output-file requirements-image.lock
	rm -rf $(VENV)-lock

# The first lock is of everything, the second of what the service runs with, the third of what builds its image.
RESOLVE = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--prerelease if-necessary-or-explicit --custom-compile-command 'make lock'

clean: ## remove everything that the verbs made, certificates and data included
	rm -rf $(VENV) var certs/dev k8s/overlays/dev/certs build dist

# The virtual environment, from the lock file alone: every package by its hash.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, \
	this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) (the first time it downloads about 300 MB)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r requirements.lock
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

certs/dev/ca.crt k8s/overlays/dev/certs/ca.crt: | $(READY)
	$(BIN)/recommendations certs --directory $(@D)

# The sample bookshop: database, readers, a trained model. Every step can be repeated.
var/.shop: | $(READY)
	@mkdir -p var
	$(BIN)/recommendations migrate
	$(BIN)/recommendations import sample
	$(BIN)/recommendations train
	@touch $@
