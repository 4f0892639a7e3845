SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help demo gallery reproduce report test lint bench badges wheel clean

python := .venv/bin/python
installed := .venv/.installed
pip_log := .venv/pip.log
needed_gb := $(if $(shell command -v nvidia-smi),9,3)
torch_for_cpu := https://download.pytorch.org/whl/cpu

help:  ## these lines
	@echo 'Six drawings of a comic character become new poses of it.'
	grep -hE '^[a-z]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*  ## (.*)/  make \1\t\2/' | expand -t 18

demo: $(installed)  ## new poses of UnicornGirl from six drawings, with scores, into 6_generated/
	@$(python) -m comics_genai demo

gallery: $(installed)  ## one page to browse, compare and pick all pictures: 6_generated/everything.html
	@$(python) -m comics_genai gallery

# A process a core and a thread a process: one process that computes in two threads takes twice as long. Tests of a
# file share what they set up, so they stay together.
test: $(installed)  ## all tests, in two processes
	@OMP_NUM_THREADS=1 $(python) -m pytest -n 2 --dist loadfile

lint: $(installed)  ## ruff over the code and the notebooks
	@$(python) -m ruff check --quiet --output-format concise .

reproduce: $(installed)  ## every study and its notebook again, about 35 hours on two CPU cores; goes on where it was
	@for study in 4_finetuning/studies/*.toml; do $(python) -m comics_genai study "$$study"; done
	$(python) -m comics_genai notebook 4_finetuning/Comparison.ipynb 4_finetuning/Ablations.ipynb 4_finetuning/tuning/*.ipynb

report: $(installed)  ## report and slides anew from what runs left behind, and the README's tables: 5_documents/
	@$(python) -m comics_genai report

bench: $(installed)  ## how fast fine-tuning is; SCRIPT=train_dreambooth_lora_sdxl.py of diffusers to compare with
	@$(python) -m comics_genai bench $(if $(SCRIPT),--script '$(SCRIPT)') $(OPTIONS)

badges: $(installed)  ## the set-up cell, and badges for Colab and Kaggle, in every notebook and the README
	@$(python) -m comics_genai badges

wheel: $(installed)  ## the package with the miniature and the drawings, to attach on Kaggle: dist/
	@$(python) -m comics_genai wheel

clean:  ## remove .venv and caches; pictures and runs stay
	@rm -rf .venv .cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(installed): requirements.txt constraints.txt pyproject.toml
	@say() { echo "$$*" >&2; }
	for python in python3.11 python3 python3.12 python3.13; do
	    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi
	done
	if [ -z "$${found:-}" ]; then
	    say "Python 3.11 or newer is needed, and this machine has $$(python3 --version 2>/dev/null || echo none):" \
	        "install it, for example with: sudo apt install python3.11 python3.11-venv"
	    exit 1
	fi
	if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then
	    say "$$("$$found" --version) came without venv: install it, for example with: sudo apt install" \
	        "$$("$$found" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
	    exit 1
	fi
	free_gb=$$(($$(df -Pk . | awk 'NR == 2 { print $$4 }') / 1048576))
	if [ ! -x $(python) ] && [ "$$free_gb" -lt $(needed_gb) ]; then
	    say "The packages take about $(needed_gb) GB, and $$PWD has $$free_gb GB free: make room and run make again."
	    exit 1
	fi
	if ! $(python) -c '' 2>/dev/null; then
	    "$$found" -m venv --clear .venv || { say "$$PWD/.venv could not be made: see the lines above."; exit 1; }
	fi
	echo "Installing the packages into .venv, once; this takes some minutes."
	: > $(pip_log)
	install() {
	    local status=0
	    $(python) -m pip install --disable-pip-version-check --progress-bar off "$$@" 2>&1 | tee -a $(pip_log) |
	        while IFS= read -r line; do
	            if [ -t 1 ]; then printf '\r\033[K%.72s' "$$line"; fi
	        done || status=$$?
	    if [ -t 1 ]; then printf '\r\033[K'; fi
	    return $$status
	}
	# PyPI's torch for Linux brings 5 GB of CUDA. Where there is no GPU its own index has one without; if that index
	# cannot be reached, PyPI's will do.
	if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null; then
	    install --quiet --no-deps --retries 0 --timeout 15 --index-url $(torch_for_cpu) \
	        "$$(grep '^torch==' constraints.txt)" || true
	    : > $(pip_log)
	fi
	if ! install --retries 2 -r requirements.txt -c constraints.txt -e .; then
	    if grep -qiE 'No space left|Disk quota' $(pip_log); then
	        say "The disk is full, the packages take about $(needed_gb) GB: make room and run make again. pip said:"
	    elif grep -qE 'NewConnectionError|ConnectTimeout|ReadTimeout|NameResolution|Connection (refused|reset|broken)|ProxyError|SSLError' $(pip_log); then
	        say "The packages could not be fetched: check this machine's network and run make again. pip said:"
	    else
	        say "pip could not install the packages, all it said is in $(pip_log); the end of it:"
	    fi
	    { grep -E 'ERROR:|Errno' $(pip_log) || cat $(pip_log); } | tail -n 3 | cut -c 1-300 >&2
	    exit 1
	fi
	touch $@
