# Two commands to know: `make demo` and `make test`. Both set up .venv first, once. `make spark` adds PySpark to it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test wheel spark lint docs bench models clean

demo: $(READY)
	$(BIN)/somv-risk demo --out demo

# Two processes halve the time; a file's tests stay together, since they share what is slow to make. Files come in
# order of name: by default those of few tests come last, and the examples, few and slow, kept one process waiting.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The wheel, in an environment of its own with the core's packages and nothing of the extras.
CORE := build/core/bin/python
wheel: $(READY)
	rm -rf build/core build/wheel
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w build/wheel .
	$(PYTHON) -m venv build/core
	$(CORE) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-core.lock
	$(CORE) -m pip install --quiet --disable-pip-version-check --no-deps --no-index build/wheel/*.whl
	cd build && core/bin/python ../tests/core_install.py

# PySpark is large and needs Java, so that whoever has no cluster is spared it.
spark: $(VENV)/.ready-spark
	@command -v java >/dev/null || test -n "$$JAVA_HOME" || \
	  { echo "Spark needs Java 17 or newer. Run: apt-get install -y openjdk-17-jre-headless"; exit 1; }
	$(BIN)/python -m pytest tests/test_spark.py

$(VENV)/.ready-spark: requirements-spark.lock $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-spark.lock
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

# The reference made from docstrings, and the papers: build/site/index.html opens without a server or a network.
docs: $(VENV)/.ready-docs
	$(BIN)/python -m mkdocs build --strict --quiet

$(VENV)/.ready-docs: requirements-docs.lock $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	@touch $@

bench: $(READY)
	$(BIN)/python -m benchmarks

# The models that come with the library: from a made-up region, the same to the byte each time on a machine, on any
# number of threads. `make models PERSONS=40000 MODELS=build/models` tries it out.
PERSONS := 850000
MODELS := models
REGION := build/region
EVALUATE = $(BIN)/somv-risk evaluate --store $(REGION) --index-time 2025-01-01 --explained 200 --simulated

models: $(READY)
	rm -rf $(REGION)
	$(BIN)/somv-risk simulate --persons $(PERSONS) --seed 7 --store $(REGION)
	$(BIN)/somv-risk train --store $(REGION) --model $(MODELS)/simulated
	$(EVALUATE) --model $(MODELS)/simulated --out $(MODELS)/simulated/evaluation
	$(BIN)/somv-risk train --store $(REGION) --model $(MODELS)/hospital_only --tables persons --tables admissions
	$(EVALUATE) --model $(MODELS)/hospital_only --out $(MODELS)/hospital_only/evaluation
	rm -rf $(REGION)

clean:
	rm -rf $(VENV) demo build

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "somv_risk needs Python 3.11 or newer. Name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python cannot make virtual environments. Run: apt-get install -y python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ctypes, sys; sys.platform == "linux" and ctypes.CDLL("libgomp.so.1")' 2>/dev/null || \
	  { echo "LightGBM needs the OpenMP runtime. Run: apt-get install -y libgomp1"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
