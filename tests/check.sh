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

# The door for HTTP is written in Go, which only who builds it must have.
PATH="$PATH:/usr/local/go/bin"
if command -v go >/dev/null; then
    [ -z "$(gofmt -l rest)" ] || { echo "not as gofmt writes it: $(gofmt -l rest)" >&2; exit 1; }
    go -C rest vet ./...
    mkdir "$fresh/rest"
    ./rest/generate.sh "$fresh/rest/gen" >/dev/null
    diff -r "$fresh/rest/gen" rest/gen || {
        echo "rest/gen is not what its sources say: run make proto and commit" >&2
        exit 1
    }
elif [ "${CI:-}" = true ]; then
    echo "Go is missing, and CI checks everything" >&2
    exit 1
else
    echo "rest/ is not checked: that needs Go"
fi
