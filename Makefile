# make demo: the whole road on a small real crawl. make test: every proof that takes seconds. Both set themselves up.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.autoclave-installed
EXTRAS := train,gpu,ray,report,extract,s3,hf,eval,kenlm,tensorboard,dev

.PHONY: help setup demo check test test-slow soak bench clean

help:
	@echo "make setup      make $(VENV) (or bring it up to date)"
	@echo "make demo       crawl -> text -> clean -> dedup -> self-clean -> tokens -> a trained model -> report"
	@echo "make check      format, lint, types, docstrings"
	@echo "make test       tests that take seconds each (under 15 minutes on two cores)"
	@echo "make test-slow  proofs that take minutes"
	@echo "make soak       20 minutes of faults, one a run, all stages on both engines; a table at the end"
	@echo "make bench      list the benchmarks beside peers, how to call each"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; set PYTHON=, as in make PYTHON=python3 setup"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch -e ".[$(EXTRAS)]"
	@echo "compiling native text kernels (once)"
	@$(BIN)/python -m autoclave.pipelines.running.warm_up
	@touch $(STAMP)

demo: setup
	$(BIN)/autoclave run recipes/demo.yaml

check: setup
	$(BIN)/ruff format --check autoclave tests benchmarks examples docs
	$(BIN)/ruff check autoclave tests benchmarks examples docs
	$(BIN)/mypy
	$(BIN)/python docs/check_docstrings.py

test: setup
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not gpu"

test-slow: setup
	$(BIN)/python -m pytest -q -m "slow and not gpu" --timeout 3600

soak: setup
	rm -rf runs/soak
	$(BIN)/python tests/end_to_end/soak.py --minutes 20 --out runs/soak

bench: setup
	@grep -rl --include='*.py' --exclude-dir=peers '__name__ == "__main__"' benchmarks | sort | \
		sed -e 's/\.py$$//' -e 's/\/__main__$$//' -e 's/\//./g' -e 's|.*|$(BIN)/python -m & --help|'

clean:
	rm -rf $(VENV) runs build dist *.egg-info .cache .mypy_cache .ruff_cache .pytest_cache
