# Harmonia. Every target works from a clean checkout, twice in a row, offline the second time.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell command -v python$(v) 2>/dev/null)) python3)
PROTOS = $(shell find proto/harmonia -name '*.proto' | LC_ALL=C sort)
PACKAGES = proto/gen/python chassis $(wildcard services/*) local sdk/python
# A set is installed once per content of its lock and of our own package files.
stamp = .venv/.$(1)-$(shell cat requirements/$(1).lock requirements/bootstrap.lock $(PACKAGES:%=%/pyproject.toml) | cksum | tr ' ' -)

MINIO = v0.0.0-20260212201848-7aac2a2c5b7c

.PHONY: help song test check up rest proto locks bench chaos minio lyrics-report sound-report voice musicgen clean
help:
	@echo 'make song PROMPT="…" [OUT=DIR] [ARGS="--seed 7"]   make a song'
	@echo 'make up        run the mesh in the foreground'
	@echo 'make voice     build the vocoder of the guide voice: --vocals guide (needs a C++ compiler, and Flite)'
	@echo 'make musicgen  install what --engine musicgen needs: torch, 6 GB'
	@echo 'make rest      build the door for HTTP, which make up then opens too (needs Go)'
	@echo 'make test      the whole test suite'
	@echo 'make check     lint, types, imports, contracts, generated code'
	@echo 'make bench     benchmarks, as tables'
	@echo 'make chaos     the kill suite: ALL=1, or SONGS=100 KILLS=30 SEED=1'
	@echo 'make lyrics-report  docs/lyrics.md anew: twenty songs in words, marked; docs/prompts.md: how prompts are read'
	@echo 'make sound-report   docs/sound.md anew: songs of every genre, measured'
	@echo 'make proto     regenerate code and pages from contracts and settings'
	@echo 'make locks     resolve the dependencies anew'
	@echo 'make clean     remove what make made'

# The lyricist's own llama.cpp is installed when a GGUF file is to be read.
LLM = $(if $(filter gguf,$(HARMONIA_LLM)),$(call stamp,llm))

# torch and what comes with it (6 GB) only for those who name the engine that needs it: ARGS="--engine musicgen" - and,
# for a song, whose weights are there.
MUSICGEN = $(if $(findstring musicgen,$(ARGS)),$(call stamp,musicgen))

# The vocoder of the guide voice is built from source for those who ask for it: ARGS="--vocals guide".
VOICE = $(if $(findstring guide,$(ARGS)),voice)

COMPOSE = $(BIN)/harmonia compose $(if $(OUT),--out "$(OUT)",--out-base out) $(ARGS)

song: $(call stamp,embedded) $(LLM) $(VOICE)
	@$(if $(MUSICGEN),$(COMPOSE) --check -- "$$PROMPT" && $(MAKE) -s $(MUSICGEN))
	@$(COMPOSE) -- "$$PROMPT"
export PROMPT

up: $(call stamp,embedded) $(LLM) $(MUSICGEN)
	@exec $(BIN)/harmonia up

voice: $(call stamp,embedded)
	@test -e $(call stamp,voice) || ./requirements/voice.sh $(MAKE) -s $(call stamp,voice)

musicgen: $(call stamp,embedded) $(call stamp,musicgen)

rest: $(call stamp,embedded)
	@PATH="$$PATH:/usr/local/go/bin" ./rest/build.sh $(BIN)/harmonia-rest

test: $(call stamp,test) $(call stamp,oracle) $(call stamp,audiocraft) voice
	@$(MAKE) -s -C k8s kustomize
	@$(MAKE) -s minio
	@$(BIN)/python -m pytest $(ARGS)

check: $(call stamp,dev)
	@PATH="$$PWD/$(BIN):$$PATH" ./tests/check.sh

proto: $(call stamp,dev)
	@PATH="$$PWD/$(BIN):$$PATH" ./proto/generate.sh
	@$(BIN)/python docs/generate.py
	@PATH="$$PWD/$(BIN):$$PATH" $(BIN)/python rest/openapi.py
	@if PATH="$$PATH:/usr/local/go/bin" command -v go >/dev/null; then \
	    PATH="$$PWD/$(BIN):$$PATH:/usr/local/go/bin" ./rest/generate.sh; \
	else echo "rest/gen is left as it is: that needs Go" >&2; fi

locks: $(call stamp,dev)
	@PATH="$$PWD/$(BIN):$$PATH" ./requirements/lock.sh

bench: $(call stamp,test) $(call stamp,oracle) $(call stamp,audiocraft) voice
	@$(BIN)/python -m bench $(ARGS)

chaos: $(call stamp,test)
	@$(BIN)/python -m tests.chaos $(if $(ALL),--all) $(if $(SONGS),--songs $(SONGS)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

lyrics-report: $(call stamp,test) voice
	@$(BIN)/python -m tests.lyrics_report
	@$(BIN)/python -m tests.prompt_report

sound-report: $(call stamp,test)
	@$(BIN)/python -m tests.sound_report $(ARGS)

# A server to test the store against, in a process of its own (AGPL: never linked, never shipped). 3.5 minutes, once.
minio: $(BIN)/minio
$(BIN)/minio: | .venv/bin/uv
	@if command -v minio >/dev/null; then :; \
	elif ! command -v go >/dev/null; then echo "minio: neither MinIO nor Go is here; the store is tested on files and SeaweedFS" >&2; \
	else echo "minio: building it, once, in 4 minutes" >&2; \
	GOBIN="$$PWD/$(BIN)" CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' github.com/minio/minio@$(MINIO) \
	|| { echo "minio: it does not build here" >&2; test "$$CI" != true; }; fi

# audiocraft asks for torch 2.1 and runs unmodified on ours: what it needs is in oracle.lock.
.venv/.audiocraft-%: .venv/bin/uv
	@$(BIN)/uv pip install --quiet --python .venv --compile-bytecode --require-hashes --no-deps -r requirements/audiocraft.lock
	@touch $@

clean:
	rm -rf .venv out dist build .pytest_cache .mypy_cache .ruff_cache

.venv/bin/uv: requirements/bootstrap.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { echo "harmonia needs Python 3.11, 3.12 or 3.13 and found none: install one, or name it with make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv || { echo "harmonia needs Python's venv module: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@touch $@

.venv/.%: .venv/bin/uv
	@$(BIN)/uv pip install --quiet --python .venv --compile-bytecode --require-hashes -r requirements/$(firstword $(subst -, ,$*)).lock
	@$(BIN)/uv pip install --quiet --python .venv --offline --no-deps --no-build-isolation $(PACKAGES:%=-e ./%)
	@touch $@
