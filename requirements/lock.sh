#!/bin/sh
# Resolves every set anew: `make locks`. One resolution (dev, the union of all) constrains the others, so they agree.
set -eu
cd "$(dirname "$0")"
lock() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
        --allow-unsafe --strip-extras "$@"
}
lock bootstrap.in -o bootstrap.lock
lock dev.in -o dev.lock
for set in gateway lyricist composer mastering artifacts embedded llm test; do
    lock "$set.in" -c dev.lock -o "$set.lock"
done
# On top of embedded or test, and not in dev: it takes a compiler.
lock voice.in -c dev.lock -o voice.lock
# On top of embedded or test, never in dev: torch has no business in `make check`.
lock musicgen.in -c dev.lock -o musicgen.lock
lock oracle.in -c dev.lock -c musicgen.lock -o oracle.lock
lock audiocraft.in --no-deps -o audiocraft.lock
