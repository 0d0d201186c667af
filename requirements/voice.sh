#!/bin/sh
# Builds the vocoder of the guide voice: voice.sh COMMAND…, where the command installs it. Without a C++ compiler, one
# line and no command; nobody sings then, which with CI=true is an error.
cd "$(dirname "$0")/.." || exit 1
cxx=${CXX:-$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_config_var("CXX") or "c++")')}
if ! command -v "${cxx%% *}" >/dev/null; then
    echo "vocals: ${cxx%% *} is not here, with which the vocoder of the guide voice is built, so nobody will sing:" \
        "apt install g++, or xcode-select --install" >&2
else
    "$@" && exit 0
    echo "vocals: the vocoder of the guide voice does not build here, as said above, so nobody will sing" >&2
fi
test "$CI" != true
