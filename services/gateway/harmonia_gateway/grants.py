"""Grants for calls that the gateway makes for a user at once, through the call doors of the services."""

from datetime import UTC, datetime, timedelta

from harmonia_chassis.access import current_principal, current_request_id
from harmonia_chassis.identity import TokenSigner

# No call lasts longer: an upload of 200 MiB over 3 Mbit/s takes nine minutes.
_LIFE = timedelta(minutes=10)


def call_grant(signer: TokenSigner) -> str:
    """For the caller of the RPC being served."""
    principal = current_principal()
    return signer.grant(
        tenant=principal.tenant,
        owner=principal.owner,
        subject=f"request/{current_request_id()}",
        expires=datetime.now(UTC) + _LIFE,
    )
