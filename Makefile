# Every step of the way, from a fresh clone to a translator. `make help` lists what there is.
# A step whose files are there already is not done again. All paths are relative to this directory.

PYTHON = python3
# What a user may give; empty here, so that nothing is taken from the environment.
RECIPE =
RUN = runs/$(basename $(notdir $(RECIPE)))
SET =
UPDATES =
SOURCE =
TARGET =
IN =
OUT =
TO = savedmodel

# Two files of one's own: their recipe is named after them, so that other files get another recipe and another run.
ifneq ($(SOURCE)$(TARGET),)
ifeq ($(and $(SOURCE),$(TARGET)),)
$(error Give both files: make train SOURCE=corpus.en TARGET=corpus.de (received SOURCE=$(SOURCE) TARGET=$(TARGET)))
endif
ifeq ($(RECIPE),)
bare = $(if $(filter .gz .bz2 .xz .txt,$(suffix $(1))),$(call bare,$(basename $(1))),$(notdir $(1)))
RECIPE = recipes/$(basename $(call bare,$(SOURCE)))$(subst \
	.,-,$(suffix $(call bare,$(SOURCE)))$(suffix $(call bare,$(TARGET)))).yaml
endif
endif

ifneq ($(filter train evaluate translate export,$(MAKECMDGOALS)),)
ifeq ($(RECIPE),)
$(error Say which recipe: make $(firstword $(MAKECMDGOALS)) RECIPE=recipes/NAME.yaml (there are: $(sort \
	$(wildcard recipes/*.yaml))), or two files of your own: make train SOURCE=corpus.en TARGET=corpus.de)
endif
ifeq ($(SOURCE)$(wildcard $(RECIPE)),)
$(error $(RECIPE): no such recipe; there are: $(sort $(wildcard recipes/*.yaml)))
endif
endif
ifneq ($(filter translate,$(MAKECMDGOALS)),)
ifeq ($(and $(IN),$(OUT)),)
$(error Say what to translate: make translate RECIPE=$(RECIPE) IN=text.en OUT=text.de (received IN=$(IN) OUT=$(OUT)))
endif
endif

NMT = .venv/bin/nmt
INSTALLED = .venv/.installed
INSTALLED_DEV = .venv/.installed-dev
EXPORT = exports/$(notdir $(RUN))$(if $(filter compact,$(TO)),-compact)
DEMO = runs/demo$(UPDATES:%=-%)

# What a program that serves the translator has to do: TensorFlow and its text operations are all it imports.
define CLIENT
import sys, tensorflow as tf, tensorflow_text
translate = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
lines = sys.stdin.read().splitlines()[:3]
for line, translation in zip(lines, translate(text=tf.constant(lines))["translation"].numpy()):
    print(f"  {line}\n  → {translation.decode()}")
endef
export CLIENT

# A step that fails leaves no half-made file; the steps are heavy, so one at a time.
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test test-slow test-kill check train evaluate translate export clean

help:  ## this list
	@echo "Usage: make TARGET [NAME=value ...]"
	@sed -n 's/^\([a-z-]*\):.*  ## /\1|/p' Makefile | while IFS='|' read -r target meaning; do \
		printf '  %-10s %s\n' "$$target" "$$meaning"; done

# The user's part

demo:  ## train the demo translator on the CPU, score it, export it and translate with the export [UPDATES=n: shorter]
	@$(MAKE) --no-print-directory evaluate export RECIPE=recipes/demo.yaml RUN=$(DEMO) \
		SET=$(UPDATES:%=training.updates=%)
	@echo "Three unseen sentences through the exported translator, without nmt:"
	@.venv/bin/python -c "$$CLIENT" exports/$(notdir $(DEMO))/text < data/demo/test.en 2> $(DEMO)/client.log || { \
		cat $(DEMO)/client.log >&2; exit 1; }

train: $(RUN)/.trained  ## RECIPE=recipes/x.yaml, or SOURCE=a.en TARGET=a.de: train, or go on where it stopped [RUN= SET=]
	@echo "$(RUN) is trained. Next: make evaluate RECIPE=$(RECIPE)"

evaluate: $(RUN)/evaluation.txt  ## RECIPE=: BLEU and chrF on the test text
	@cat $<

translate: $(OUT)  ## RECIPE= IN=text.en OUT=text.de: translate a file

export: $(EXPORT)/README.md  ## RECIPE=: the translator as TensorFlow SavedModels, or with TO=compact a small one, in exports/
	@echo "$(EXPORT) is exported: $< says how to use it."

# The developer's part

test: $(INSTALLED_DEV)  ## the fast tests
	.venv/bin/python -m pytest -n auto --dist loadfile

test-slow: $(INSTALLED_DEV)  ## the slow ones: learning, exact resume, the whole chain
	.venv/bin/python -m pytest -m slow -n auto --dist loadfile

test-kill: $(INSTALLED_DEV)  ## trainings killed twenty times each at random end as if undisturbed
	NMT_KILLS=20 .venv/bin/python -m pytest -m slow -k killed_at_random tests/test_resume.py

check: $(INSTALLED_DEV)  ## format, lint and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

clean:  ## remove what can be made again, .venv included; runs, exports and downloads stay
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find nmt tests data -name __pycache__ -prune -exec rm -rf {} +

# What they are made of

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "nmt needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --disable-pip-version-check -e '.[tensorflow,onnx,formats,doctor]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	.venv/bin/python -m pip install --disable-pip-version-check -e '.[tensorflow,onnx,formats,doctor,jax,dev]'
	@touch $@

# A recipe that is there is never drafted anew: it may have been edited. What asks for it with other files is refused.
ifneq ($(SOURCE),)
$(RECIPE): | $(INSTALLED)
	$(NMT) new $(SOURCE) $(TARGET) > $@

ifneq ($(wildcard $(RECIPE)),)
hash := \#
said = $(shell sed 's/ $(hash).*//' $(RECIPE) | tr -d "\"' " | tr '{,}' '\n\n\n' | grep -Fx '$(1)')
ifeq ($(and $(call said,source:$(SOURCE)),$(call said,target:$(TARGET))),)
$(error $(RECIPE) is there already and not about $(SOURCE) and $(TARGET); \
	give this one another name: RECIPE=recipes/NAME.yaml)
endif
endif
endif

# best.npz is there from the first validation on, so it does not say that training is over. This file does; an
# interrupted training leaves none, and nmt itself goes on where it stopped.
$(RUN)/.trained: $(RECIPE) | $(INSTALLED)
	$(NMT) train $(RECIPE) --run $(RUN) $(addprefix --set ,$(SET))
	@touch $@

$(RUN)/evaluation.txt: $(RUN)/.trained
	$(NMT) evaluate $(RUN) > $@

$(OUT): $(IN) $(RUN)/.trained
	$(NMT) translate $(RUN) $(IN) -o $@ --force

$(EXPORT)/README.md: $(RUN)/.trained
	rm -rf $(@D)
	$(NMT) export $(RUN) --to $(TO) $(@D)
