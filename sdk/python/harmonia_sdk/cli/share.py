"""Links to songs: made, listed and taken back."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.cli.songs import NAME
from harmonia_sdk.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from harmonia.share.v1 import share_pb2

_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def register(app: typer.Typer) -> None:
    add_command(app, "share", share)
    add_command(app, "shares", shares)
    add_command(app, "unshare", unshare)


async def share(
    common: Common,
    name: NAME,
    span: Annotated[str, typer.Option("--for", metavar="7d", help="How long it opens: 90s, 30m, 12h, 7d.")] = "7d",
    what: Annotated[str, typer.Option(metavar="page|audio|formats", help="What it opens.")] = "page",
    format: Annotated[list[str] | None, typer.Option(metavar="NAME", help="mp3, flac, …; may be given again.")] = None,
) -> None:
    """Prints a link by which anybody may hear a song for a while; it is not shown again."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json, say

    valid_for = _span(span)
    async with session(common) as mesh:
        made = await mesh.client.shares.create(name, what=what, formats=format or [], valid_for=valid_for)
    if common.json:
        print_json(made)
        return
    if not made.url:
        say("this mesh was not told what its HTTP door is called: put that before the path")
    print(made.url or made.path)


async def shares(
    common: Common,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Of one song; default all.")] = "",
    ended: Annotated[bool, typer.Option("--ended", help="With those that are revoked or have expired.")] = False,
) -> None:
    """Lists the links to your songs, and how often they were opened."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json, say

    async with session(common) as mesh:
        found = await mesh.client.shares.list(song=name, show_ended=ended)
    for one in found:
        print_json(one) if common.json else say(_line(one))
    if not (found or common.json):
        say("no links: harmonia share NAME makes one")


async def unshare(common: Common, name: Annotated[str, typer.Argument(metavar="NAME", help='"shares/…"')]) -> None:
    """Takes a link back: from then on it opens nothing."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json

    async with session(common) as mesh:
        gone = await mesh.client.shares.revoke(name)
    print_json(gone) if common.json else print(f"{gone.name} is revoked")


def _span(text: str) -> timedelta:
    match = _SPAN.fullmatch(text)
    if match is None:
        message = f"--for takes 90s, 30m, 12h or 7d, not {text!r}"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="for")
    return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])


def _line(one: "share_pb2.Share") -> str:
    from harmonia.share.v1 import share_pb2

    what = share_pb2.Share.What.Name(one.what).lower()
    until = datetime.fromtimestamp(one.expire_time.seconds).astimezone().strftime("%Y-%m-%d %H:%M")
    ended = "  revoked" if one.HasField("revoke_time") else ""
    return f"{one.name}  {one.song}  {what} {','.join(one.formats)}  until {until}  opened {one.opens}x{ended}"
