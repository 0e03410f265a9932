# The front door. `make` alone prints what one can do; the texts are the targets' own comments.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

python := .venv/bin/python

# Compiled modules are kept (__pycache__), whatever the environment says: else every process a test starts, and every
# pytest worker, compiles all of them anew.
unexport PYTHONDONTWRITEBYTECODE

# What is said on the command line reaches the programs as environment: make run CONFIG=site.toml, make setup PYTHON=python3.13

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup ## the gateway here, with simulated charge points and BMS; CONFIG=file.toml STATE=dir PEERS=0
	@exec $(python) -m tests.simulator.run

.PHONY: setup
setup: ## make this machine ready: Debian packages, and .venv with everything pinned by hash
	@.ci/setup

.PHONY: test
test: setup ## every test that needs no root, browser or emulated machine
	@$(python) -m pytest -n auto --dist worksteal

.PHONY: test-root
test-root: ## as root: network namespaces and services
	@.ci/setup test-root
	@GATEWAY_TEST_ROOT=1 $(python) -m pytest -o faulthandler_timeout=0 tests/root --durations=10

.PHONY: test-promises
test-promises: setup ## what is promised about reliability and security, measured; takes minutes
	@rm -f build/promises.json
	@$(promises) -m alone
	@$(promises) -m 'not alone' -n 2 --dist worksteal

# What measures times runs first and alone. Every test has its own limit against hangs, which names it.
promises = GATEWAY_TEST_PROMISES=1 $(python) -m pytest -o faulthandler_timeout=0 --durations=12 tests/promises

.PHONY: fuzz
fuzz: setup ## hostile input without end, going on where it stopped; SECONDS=n for each target, TARGETS="modbus_tcp ..."
	@[ build/fuzz/lib -nt requirements-fuzz.lock ] || { rm -rf build/fuzz/lib && $(python) -m pip install --quiet \
	    --disable-pip-version-check --require-hashes -r requirements-fuzz.lock --target build/fuzz/lib; }
	@PYTHONPATH=build/fuzz/lib $(python) -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(TARGETS)

.PHONY: coverage
coverage: setup ## branch coverage of what judges hostile input; all of it, or this fails
	@$(python) -m coverage run --branch --data-file=build/coverage --source=gatewayd -m pytest tests/modbus tests/ocpp
	@$(python) -m coverage report --data-file=build/coverage --show-missing --skip-covered --fail-under=100 --include=$(judges)

judges = $(subst $(space),$(comma),$(patsubst %,gatewayd/%.py,modbus/pdu modbus/adu modbus/echo modbus/server ocpp/frames ocpp/schema))
space = $(subst ,, )
comma = ,

.PHONY: chaos
chaos: setup ## one seed of chaos, in virtual time, and its log; SEED=n repeats one
	@$(python) -m tests.journeys.chaos $(SEED)

.PHONY: test-interop
test-interop: setup ## the bridge between charge points and central systems that others wrote (PyPI, npm)
	@[ -x build/interop/python/bin/pip ] || $(python) -m venv build/interop/python
	@build/interop/python/bin/pip install -q --disable-pip-version-check -r tests/interop/peers/requirements.txt
	@mkdir -p build/interop/node && cp tests/interop/peers/package.json build/interop/node/
	@npm install --silent --no-audit --no-fund --no-package-lock --prefix build/interop/node
	@GATEWAY_TEST_INTEROP=1 $(python) -m pytest tests/interop

.PHONY: test-browser
test-browser: setup ## the page in Chromium: first steps, speed, weight, accessibility, keyboard, markup; pictures in build/screens
	@.ci/setup test-browser $$({ command -v node && command -v npm; } >/dev/null || echo node)
	@mkdir -p build/browser && cp tests/browser/package.json build/browser/
	@npm install --silent --no-audit --no-fund --no-package-lock --prefix build/browser
	@$(browser) -m alone
	@$(browser) -m 'not alone' -n 2 --dist worksteal

browser = GATEWAY_TEST_BROWSER=1 $(python) -m pytest -o faulthandler_timeout=300 -rP --durations=5 tests/browser

.PHONY: check
check: setup ## format, lint, types, shell scripts, table and documents fresh
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m mypy gatewayd hal tests
	shellcheck --external-sources $(shell_scripts)
	$(python) -m pytest tests/house

# Known by their first line: a script has no need of an ending.
shell_scripts = $$(git ls-files --cached --others --exclude-standard -z | xargs -0 grep -lIsZ '^\#!' | \
    xargs -0 awk 'FNR == 1 && /^\#!.*[\/ ](ba|da)?sh( |$$)/ { print FILENAME }')

.PHONY: tools
tools: ## as root: Debian 13's tools for the card image, into build/tools; cached until their list changes
	@.ci/setup image
	@image/tools.sh make

.PHONY: root
root: tools ## as root: the appliance's root for the card image, into build/root; FRESH=1 asks Debian and PyPI again
	@image/root.sh

.PHONY: vm
vm: ## as root: the appliance's own root, emulated; its ports on 127.0.0.1, its RS485 bus as a UNIX socket
	@[ -e build/root/root.squashfs ] || $(MAKE) root
	@[ build/vm/disk.img -nt build/root/root.squashfs ] || image/vm.sh disk build/vm/disk.img
	@exec image/vm.sh run build/vm/disk.img

.PHONY: image
image: root ## as root: the card image for a Compute Module 4, with checksum, block map, bill of materials, licences; build/card
	@image/disk-image.sh

.PHONY: test-image
test-image: tools ## as root: the card image and its slots under U-Boot; what is not built yet is skipped and says so
	@GATEWAY_TEST_IMAGE=1 $(python) -m pytest -o faulthandler_timeout=0 tests/card --durations=10

.PHONY: vm-smoke
vm-smoke: vm-able root ## as root: the appliance's own root, emulated: what starts, what answers, what is open; minutes
	@[ -x build/interop/python/bin/pip ] || $(python) -m venv build/interop/python
	@build/interop/python/bin/pip install -q --disable-pip-version-check -r tests/interop/peers/requirements.txt
	@image/vm.sh disk build/vm/fresh.img
	@tests/vm/guest/build.sh build/vm/initrd-test
	@GATEWAY_TEST_VM=1 $(python) -m pytest -o faulthandler_timeout=0 tests/vm -n 2 --dist loadfile --durations=8

.PHONY: vm-able
vm-able:
	@.ci/setup vm
	@image/vm.sh able

.PHONY: powercut
powercut: $(if $(filter fresh kills,$(PARTS)),image,root) ## as root: power cuts, going on where they stopped; PARTS="replay fresh kills", COUNT=n of them, SECONDS=n
	@.ci/setup test-root
	@$(python) -m tests.powercut $(PARTS) $(if $(COUNT),--count $(COUNT)) $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: vm-kills
vm-kills: vm-able ## as root: five power cuts of that root, while it starts and under traffic, in minutes; make powercut cuts the card
	@[ -e build/root/root.squashfs ] || $(MAKE) root
	@$(python) -m tests.powercut short

.PHONY: vm-test
vm-test: vm-able ## as root: its long form: factory resets in every kind of network, plugs pulled; goes on where it stopped; COUNT=20
	@[ -e build/root/root.squashfs ] || $(MAKE) root
	@image/vm.sh disk build/vm/fresh.img
	@tests/vm/guest/build.sh build/vm/initrd-test
	@$(python) -m tests.vm.long $(COUNT)

.PHONY: vm-report
vm-report: vm-able ## as root: size, memory and time of the appliance's own root, emulated, beside one with nothing of ours
	@[ -e build/root/root.squashfs ] || $(MAKE) root
	@image/vm.sh disk build/vm/fresh.img
	@tests/vm/guest/build.sh build/vm/initrd-test
	@$(python) -m tests.vm.report

.PHONY: map
map: setup ## the Modbus points: FORMAT=csv|md|html|xlsx|pdf or a tool's name; CONFIG=file.toml HOST=address
	@$(python) -m gatewayd.points.export $(if $(FORMAT),--format $(FORMAT)) $(if $(CONFIG),--config $(CONFIG)) \
	    $(if $(HOST),--host $(HOST))

.PHONY: docs
docs: setup ## write the documents that are printed from the code anew
	@$(python) -m tests.house.generated

.PHONY: bench
bench: ## the benchmarks beside their peers, as ratios
	@.ci/setup bench
	@missed=; for part in modbus ocpp bridge tls plant; do \
	    $(python) -m tests.bench.$$part || missed="$$missed $$part"; echo; \
	done; [ -z "$$missed" ] || { echo "missed:$$missed"; exit 1; }

.PHONY: lock
lock: setup ## write the locks anew from requirements*.in; UPGRADE=1 takes newer releases
	@for name in requirements-build requirements requirements-dev requirements-fuzz; do \
	    CUSTOM_COMPILE_COMMAND='make lock' $(python) -m piptools compile --quiet $(if $(UPGRADE),--upgrade) \
	        --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host \
	        --no-emit-find-links --output-file $$name.lock $$name.in; \
	done
