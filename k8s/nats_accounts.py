"""Prints the accounts of the nats-server, from the chassis's table: `make -C k8s` writes them to base/accounts.conf.

A test compares the file with the table, so the two cannot part.
"""

import json
import sys

from harmonia_chassis.lanes import accounts


def text(trust_domain: str) -> str:
    """JSON, which is valid NATS configuration."""
    return json.dumps({"accounts": accounts(trust_domain)}, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text(sys.argv[1]))
