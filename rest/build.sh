#!/bin/sh
# Builds the HTTP door into the file that is named. The first time fetches modules; later ones need no network.
set -eu
binary=$(realpath -m "$1")
cd "$(dirname "$0")"
command -v go >/dev/null || {
    echo "the HTTP door is written in Go and needs Go 1.26 or newer to be built: https://go.dev/doc/install" >&2
    exit 1
}
CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags '-s -w' -o "$binary" .
