# Every target makes the environment that it needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# make train DATA=mnist METHOD=idec SEEDS=10; METHOD may name several.
DATA ?= digits
METHOD ?=
SEEDS ?= 3
PRESET ?= $(if $(filter digits,$(DATA)),quick)
METHODS = kmeans ae+kmeans $(if $(METHOD),$(filter-out kmeans ae+kmeans,$(METHOD)),dec idec)
OPTIONS ?=
RUN ?= $(shell ls -td runs/*/ 2>/dev/null | head -n 1)

.PHONY: help train evaluate report test bench lint clean

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo "variables   DATA=$(DATA) METHOD=$(METHOD) SEEDS=$(SEEDS) RUN=$(RUN) PYTHON=$(PYTHON) OPTIONS=$(OPTIONS)"

$(BIN)/dec: pyproject.toml .ci/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]' $(if $(UNPINNED),,--constraint .ci/constraints.txt)
	@touch $@

train: $(BIN)/dec ## cluster DATA by k-means, autoencoder + k-means and METHOD (default: dec idec); ends with a table
	$(BIN)/dec compare --data $(DATA) --methods $(METHODS) --seeds $(SEEDS) $(if $(PRESET),--preset $(PRESET)) $(OPTIONS)

evaluate: $(BIN)/dec ## print the scores of RUN (default: the newest)
	$(BIN)/dec evaluate $(RUN)

report: $(BIN)/dec ## write RUN's report, one HTML page
	$(BIN)/dec report $(RUN)

test: $(BIN)/dec ## run the tests
	$(BIN)/python -m pytest

bench: $(BIN)/dec ## time pretraining and DEC epochs in a minute (needs DEC_DATA with MNIST)
	$(BIN)/python benchmarks/versus_clustpy.py --quick

lint: $(BIN)/dec ## check the style
	$(BIN)/ruff check dec tests benchmarks

clean: ## remove the environment and caches, not the runs
	rm -rf $(VENV) .pytest_cache .ruff_cache *.egg-info
