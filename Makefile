# Everything a person or CI needs, from a machine with Python 3.11, make and nothing else.
# Each target makes the .venv it needs; that takes no time where nothing changed.
.PHONY: demo test check bench docs
export TF_CPP_MIN_LOG_LEVEL ?= 2

demo: ## train on handwritten digits
	@scripts/install plot
	@.venv/bin/python examples/digits.py

test: ## style, types, floors, tests and the examples in docstrings
	@scripts/install dev
	@scripts/test

check: ## style, types and floors only
	@scripts/install dev
	@scripts/check

bench: ## make bench ROWS="mlp lstm"; all rows without ROWS
	@scripts/install dev
	@scripts/bench $(ROWS) $(if $(DEVICE),--device $(DEVICE))

docs: ## run the examples of the documentation
	@scripts/install dev
	@scripts/docs
