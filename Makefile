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

.PHONY: help train evaluate report phones reviews test bench lint clean

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

# A run of this name: begun, gone on with, or left as it is where it is finished.
define run
@if [ -d runs/$(1) ]; then $(BIN)/dec train --resume runs/$(1); else $(BIN)/dec train $(2) --out runs/$(1) $(OPTIONS); fi
endef

phones: $(BIN)/dec ## cluster mobile phones by three codes, with all figures (needs DEC_DATA)
	$(call run,phones,ae+kmeans --preset phones)
	$(BIN)/dec report runs/phones --map tsne interactive gif --colour rating price brand --elbow 29

reviews: $(BIN)/dec ## cluster film reviews by their codes, manifold and counts (needs DEC_DATA and umap-learn)
	$(call run,reviews,ae+kmeans --preset imdb --n-clusters 5)
	-$(call run,reviews-dbscan,n2d --preset imdb-manifold) # one region is found, which counts as a failed run
	$(call run,reviews-manifold,n2d --preset imdb --cluster kmeans --neighbors 50 --dimensions 5 --n-clusters 5)
	$(call run,reviews-counts,kmeans --preset imdb --n-clusters 3)
	$(BIN)/dec report runs/reviews --map tsne --colour runs/reviews-dbscan runs/reviews-manifold
	$(BIN)/dec report runs/reviews-counts --map tsne

test: $(BIN)/dec ## run the tests
	$(BIN)/python -m pytest

bench: $(BIN)/dec ## time pretraining and DEC epochs in a minute, on random rows
	$(BIN)/python benchmarks/versus_clustpy.py --quick

lint: $(BIN)/dec ## check the style and the types of the core
	$(BIN)/ruff check dec tests benchmarks
	$(BIN)/mypy

clean: ## remove the environment and caches, not the runs
	rm -rf $(VENV) .pytest_cache .ruff_cache *.egg-info
