# make demo    the README's example          make test    the tests          make help    the rest
# Everything lands in .venv (`make bench`: .venv-bench), made once and brought up to date when the kernels or the list of dependencies change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := setup.py pyproject.toml constraints.txt $(wildcard fastmd_ext/*.pyx fastmd_ext/*/*.cpp fastmd_ext/*/*.h fastmd_ext/*/*.hpp fastmd_ext/*/*.map)

# Relative, since pip splits these at spaces. Older pip takes the first for what it builds with too, newer pip wants the second.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-slow sanitize bench bench-here docs clean
.DELETE_ON_ERROR:

help:
	@echo "make demo        train a potential for silicon and run molecular dynamics with it; the results land in demo/"
	@echo "make test        build and run the tests"
	@echo "make test-slow   the tests that take minutes"
	@echo "make sanitize    the tests on a core built with ASan and UBSan (half an hour and more)"
	@echo "make bench       time the kernels, and fastmd beside the programs that do the same (six minutes; leave the machine alone); results in bench/results/"
	@echo "make docs        build the tutorial and the API reference into site/"
	@echo "make clean       remove the environments and all that was built"
	@echo ""
	@echo "All build in .venv (bench in .venv-bench) with python3; another interpreter: make test PYTHON=python3.12"
	@echo "One test: $(BIN)/python -m pytest -k neighbour"

demo: $(VENV)/made-train
	$(BIN)/python examples/silicon.py

test: $(VENV)/made-test
	$(BIN)/python -m pytest

test-slow: $(VENV)/made-test
	$(BIN)/python -m pytest -m slow

sanitize: $(VENV)/made-test
	$(BIN)/pip install -q setuptools cython
	PYTHON=$(BIN)/python tests/sanitize.sh

# In an environment of its own, which has the other programs, too.
bench:
	$(MAKE) VENV=.venv-bench bench-here

bench-here: $(VENV)/made-bench
	FASTMD_THREADS=1 $(BIN)/python -m pytest bench --benchmark-columns=min,median,rounds --benchmark-sort=name
	$(BIN)/python bench/compare.py

docs: $(VENV)/made-docs
	$(BIN)/python -m sphinx -q -W -b html docs site
	@echo "Look at site/index.html"

$(VENV)/made:
	@command -v g++ >/dev/null || { echo "fastmd needs a C++17 compiler: no g++ found. On Debian or Ubuntu: apt install g++"; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "fastmd needs Python 3.10 or later: no $(PYTHON) found. Name yours: make test PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "fastmd needs Python 3.10 or later; $(PYTHON) is older. Name another: make test PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/made-%: $(VENV)/made $(SOURCES)
	$(BIN)/pip install -q -e ".[$*]"
	@touch $@

clean:
	rm -rf .venv .venv-bench build dist demo site fastmd.egg-info fastmd/lib fastmd/include fastmd/_core*.so fastmd_ext/_core.c
