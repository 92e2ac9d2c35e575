# The two commands of the README: `make run` and `make test`. Both build .venv if need be.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find automata models compiler certify refute conformance scancraft -name '*.py' -o -name '*.lark' -o -name 'page*') pyproject.toml

.PHONY: run test pytest lint types versions bench gpu docs proofs dist clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	@# torch first and pinned: left to itself pip may pull gigabytes of CUDA packages.
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt ".[dev]"
	touch $@

# The tests look at the installed package, so it is reinstalled whenever a source has changed.
$(VENV)/.fresh: $(VENV)/.installed $(SOURCES)
	@rm -rf build
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall --no-build-isolation .
	@rm -rf build *.egg-info
	touch $@

# The published package without its CUDA extensions, in a folder of its own: transformers would use it on a CPU, too, and
# fail. Without it (no network, say) tests/models/test_mamba_ssm.py skips.
$(VENV)/.mamba_ssm: $(VENV)/.installed
	@{ MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --upgrade --target $(VENV)/mamba_ssm mamba-ssm==2.3.2.post1 \
	  && $(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/mamba_ssm einops==0.8.2 triton==3.9.0 \
	  && touch $@; } || echo "mamba_ssm could not be installed; its tests are skipped, and the next run tries again"

run: $(VENV)/.fresh
	$(BIN)/scancraft compile --regex '(a(a(ab)*b)*b)*' -o out/d3
	$(BIN)/scancraft check out/d3
	$(BIN)/scancraft generate out/d3 -n 8

# mypy has one core busy, so it runs beside the tests.
test: $(VENV)/.fresh $(VENV)/.mamba_ssm lint
	$(MAKE) --no-print-directory -j 2 types pytest

pytest: $(VENV)/.fresh
	$(BIN)/pytest -n 2

lint: $(VENV)/.fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.fresh
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml -p scancraft

# The oldest and the newest transformers that pyproject.toml allows, each in an environment of its own; the pinned one is `make test`'s.
TRANSFORMERS ?= 5.17.0 5.24.0
versions:
	@mkdir -p $(VENV)
	@grep -vE '^(transformers|tokenizers|safetensors)==' constraints.txt > $(VENV)/constraints-versions.txt
	set -e; for version in $(TRANSFORMERS); do \
	  env=$(VENV)/transformers-$$version; $(PYTHON) -m venv $$env; \
	  $$env/bin/python -m pip install --quiet "$(TORCH)" setuptools wheel; \
	  $$env/bin/python -m pip install --quiet --constraint $(VENV)/constraints-versions.txt "transformers==$$version" ".[dev]"; \
	  rm -rf build *.egg-info; \
	  $$env/bin/pytest tests/models tests/compiler tests/certify; \
	done

bench: $(VENV)/.fresh
	$(BIN)/python benchmarks/run.py

# Installs nothing beyond .venv: finds which kernels are there (docs/gpu.md), and says what was not run.
gpu: $(VENV)/.fresh
	$(BIN)/python benchmarks/run.py gpu

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt ".[docs]"
	@rm -rf build *.egg-info
	touch $@

# The site opens from disk: docs/_build/html/index.html. Warnings and failing assertions stop it.
docs: $(VENV)/.docs $(VENV)/.fresh
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html
	@echo "open docs/_build/html/index.html"

# Machine-checked proofs of the lemmas that carry certificates from a step to any length and any implementation (docs/proofs.md).
# Needs Coq 8.16 with Flocq: on Debian, apt-get install coq libcoq-flocq.
PROOFS := Floats Scan Sums Norm Closure

proofs:
	cd proofs && for file in $(PROOFS); do echo "coqc $$file.v"; coqc -Q . "" $$file.v || exit 1; done

# What goes to PyPI: an sdist with tests, docs and benchmarks, and a wheel made from it. tests/test_release.py looks at both.
dist: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt build twine
	@rm -rf dist build *.egg-info
	$(BIN)/python -m build
	@rm -rf build *.egg-info
	$(BIN)/python -m twine check --strict dist/*
	@ls -l dist

clean:
	rm -rf proofs/*.vo* proofs/*.glob proofs/.*.aux proofs/.*.cache
	rm -rf $(VENV) out build dist docs/_build *.egg-info
