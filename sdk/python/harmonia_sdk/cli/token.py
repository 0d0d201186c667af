"""API keys: made, listed and taken back, and the token that makes the first of a mesh."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from harmonia.identity.v1 import key_pb2

BOOTSTRAP_LIFE = timedelta(minutes=15)


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Keys for programs of yours.")
    add_command(group, "create", create)
    add_command(group, "list", list_keys)
    add_command(group, "revoke", revoke)
    add_command(group, "bootstrap", bootstrap)
    app.add_typer(group, name="token")


async def create(
    common: Common,
    *,
    name: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")] = "",
    scope: Annotated[list[str] | None, typer.Option(metavar="SCOPE", help="songs:read, …; may be given again.")] = None,
    days: Annotated[float, typer.Option(metavar="N", help="How long it is good; 0: until it is revoked.")] = 0,
    tenant: Annotated[str, typer.Option(metavar="NAME", help="For another tenant, by operators.")] = "",
    owner: Annotated[str, typer.Option(metavar="NAME", help="For somebody else, by operators.")] = "",
    operator: Annotated[bool, typer.Option("--operator", help="An operator's key, by operators.")] = False,
) -> None:
    """Makes a key and prints its token, which is not shown again."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json

    async with session(common) as mesh:
        made = await mesh.client.create_key(
            name, scopes=scope or [], valid_for=timedelta(days=days), tenant=tenant, owner=owner, operator=operator
        )
    if common.json:
        print_json(made)
    else:
        print(made.token)


async def list_keys(
    common: Common,
    ended: Annotated[bool, typer.Option("--ended", help="With those that are revoked or have expired.")] = False,
    all: Annotated[bool, typer.Option("--all", help="Of everybody, for operators.")] = False,
) -> None:
    """Lists your keys."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import as_dict, print_json

    async with session(common) as mesh:
        found = await mesh.client.list_keys(show_ended=ended, all=all)
    if common.json:
        print_json({"keys": []} | as_dict(found))
        return
    for key in found.keys:
        print(_line(key))
    if not found.keys:
        print("no keys yet: harmonia token create makes one")


async def revoke(common: Common, name: Annotated[str, typer.Argument(metavar="NAME", help='"keys/…"')]) -> None:
    """Takes a key back; within 5 s it opens no door any more."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json

    async with session(common) as mesh:
        key = await mesh.client.revoke_key(name)
    if common.json:
        print_json(key)
    else:
        print(f"{key.name} is revoked")


def bootstrap(
    common: Common,
    signing_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The gateway's; default the home's.")] = None,
    trust_domain: Annotated[str, typer.Option(metavar="NAME")] = "harmonia.local",
) -> None:
    """Prints a token that is good for one call within 15 minutes: the one that makes the first key of a mesh."""
    from harmonia_chassis.identity import BOOTSTRAP, BOOTSTRAP_AUDIENCE, TokenSigner
    from harmonia_sdk.settings import default_home

    path = signing_key or (common.home or default_home()) / "pki" / "token-signing.key.pem"
    try:
        signer = TokenSigner.from_file(path, trust_domain)
    except (OSError, ValueError, TypeError) as exc:
        message = f"{path} is no signing key that can be read: run this beside the gateway's"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="signing_key") from exc
    token = signer.other(BOOTSTRAP, BOOTSTRAP_AUDIENCE, subject="bootstrap", life=BOOTSTRAP_LIFE)
    print(json.dumps({"token": token}) if common.json else token)


def _line(key: "key_pb2.Key") -> str:
    ended = f"revoked {_day(key.revoke_time)}" if key.HasField("revoke_time") else ""
    expires = f"until {_day(key.expire_time)}" if key.HasField("expire_time") else ""
    told = (key.name, key.prefix, key.display_name, f"since {_day(key.create_time)}", expires, ended)
    return "  ".join([*filter(None, told), " ".join(key.scopes)])


def _day(at: "Timestamp") -> str:
    return datetime.fromtimestamp(at.seconds).astimezone().strftime("%Y-%m-%d")
