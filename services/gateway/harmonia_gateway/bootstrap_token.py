"""Prints a token that is good for one call of an operator within 15 minutes, signed with the gateway's own key.

`python -m harmonia_gateway.bootstrap_token`, in the gateway's own environment: the way into a mesh without keys, as on
Kubernetes, where nobody runs `harmonia token bootstrap` beside the signing key. Starts and changes nothing.
"""

import sys
from datetime import timedelta

from harmonia_chassis.identity import BOOTSTRAP, BOOTSTRAP_AUDIENCE, TokenSigner
from harmonia_chassis.settings import read_settings
from harmonia_gateway.settings import Settings

LIFE = timedelta(minutes=15)


def main() -> None:
    settings = read_settings(Settings)
    signer = TokenSigner.from_file(settings.signing_key, settings.trust_domain)
    token = signer.other(BOOTSTRAP, BOOTSTRAP_AUDIENCE, subject="bootstrap", life=LIFE)
    sys.stdout.write(f"{token}\n")


if __name__ == "__main__":
    main()
