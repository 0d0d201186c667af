#!/bin/sh
# Regenerates proto/gen/python from the contracts. Needs the tools of requirements/dev.lock on PATH.
set -eu
cd "$(dirname "$0")/.."
out=proto/gen/python
rm -rf "$out/harmonia"
buf generate
python -m grpc_tools.protoc -Iproto --grpc_python_out="$out" $(grep -l '^service ' $(find proto/harmonia -name '*.proto'))
# mypy-protobuf writes service stubs for files without a service too.
for stub in $(find "$out" -name '*_pb2_grpc.pyi'); do
    [ -e "${stub%i}" ] || rm "$stub"
done
find "$out/harmonia" -mindepth 1 -maxdepth 1 -type d -exec touch {}/v1/py.typed \;
