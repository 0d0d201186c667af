#!/bin/sh
# What `make check` runs; needs the tools of requirements/dev.lock on PATH.
set -eu
cd "$(dirname "$0")/.."
ruff check .
ruff format --check .
mypy rest/openapi.py $(find chassis services local sdk tests bench -name '*.py' -not -path '*/node_modules/*')
lint-imports
buf lint
buf breaking --against proto/released.binpb

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
cp -R proto/gen docs rest/openapi.json "$fresh"
./proto/generate.sh >/dev/null 2>&1
python docs/generate.py
python rest/openapi.py
for generated in proto/gen docs rest/openapi.json; do
    diff -r -x __pycache__ "$fresh/${generated##*/}" "$generated" || {
        echo "$generated is not what its sources say: run make proto and commit" >&2
        exit 1
    }
done
