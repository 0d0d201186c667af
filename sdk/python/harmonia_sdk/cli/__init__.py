"""The `harmonia` command. What it prints and exits with is a contract: other people's scripts use it."""

import os
import sys
from itertools import takewhile


def main() -> int:
    # gRPC's C core would write its own lines between ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from harmonia_sdk.cli.app import run

    arguments = sys.argv[1:]
    as_json = "--json" in takewhile(lambda argument: argument != "--", arguments)
    return run(arguments, as_json=as_json)
