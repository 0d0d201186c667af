#!/bin/sh
# Regenerates rest/gen from the public contracts and http_rules.yaml. Needs Go, and buf on PATH.
set -eu
cd "$(dirname "$0")/.."
areas="access artifact audio capability identity lyrics model project share song type webhook"
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
for tool in google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc \
    github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway; do
    go -C rest build -o "$tools/" "$tool"
done

out=${1:-rest/gen}
packages=paths=source_relative
for proto in $(for area in $areas; do find "proto/harmonia/$area" -name '*.proto'; done | LC_ALL=C sort); do
    folder=$(dirname "${proto#proto/}")
    area=${folder#harmonia/}
    packages="$packages,M${proto#proto/}=harmonia/rest/gen/$folder;$(echo "${area%/v1}")pb"
done
rm -rf "$out"
mkdir -p "$out"
PATH="$tools:$PATH" buf generate --template "$(
    cat <<TEMPLATE
{"version": "v2", "plugins": [
  {"local": "protoc-gen-go", "out": "$out", "opt": "$packages", "strategy": "all"},
  {"local": "protoc-gen-go-grpc", "out": "$out", "opt": "$packages", "strategy": "all"},
  {"local": "protoc-gen-grpc-gateway", "out": "$out", "opt": "$packages,grpc_api_configuration=rest/http_rules.yaml", "strategy": "all"}
]}
TEMPLATE
)" $(for area in $areas; do echo "--path proto/harmonia/$area"; done)
