"""Commands about songs that are there already."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from harmonia.song.v1 import song_pb2
    from harmonia_sdk.cli.session import Session

NAME = Annotated[str, typer.Argument(metavar="NAME", help='"songs/…", as `harmonia list` shows it.')]
FILTER = typer.Option(metavar="FILTER", help='state = FAILED AND labels.album = "rain"')
STATES = ("QUEUED", "RUNNING", "CANCELLING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


def register(app: typer.Typer) -> None:
    add_command(app, "watch", watch)
    add_command(app, "list", list_songs)
    add_command(app, "show", show)
    add_command(app, "download", download)
    add_command(app, "cancel", cancel)
    add_command(app, "retry", retry)
    add_command(app, "delete", delete)
    add_command(app, "undelete", undelete)


async def watch(
    common: Common,
    name: NAME,
    from_token: Annotated[str, typer.Option("--from", metavar="TOKEN", help="Go on after this event.")] = "",
) -> None:
    """Shows a song until it has ended."""
    from harmonia_sdk.cli.follow import follow, left_alone, raise_unless_succeeded
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.spec import checked_text

    token = checked_text(from_token, "from")
    async with session(common) as mesh:
        song = await follow(mesh, name, as_json=common.json, resume_token=token)
    if song is None:
        if not common.json:
            left_alone(name)
        return
    raise_unless_succeeded(song)
    if not common.json:
        print(f"{song.name} SUCCEEDED: harmonia download {song.name}")


async def list_songs(
    common: Common,
    state: Annotated[str, typer.Option(metavar="STATE", help=", ".join(STATES))] = "",
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be given again.")] = None,
    filter: Annotated[str, FILTER] = "",
    limit: Annotated[int, typer.Option(metavar="N", min=1)] = 50,
) -> None:
    """Lists songs, the newest first."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import as_dict, print_json, print_table

    where = filter_of(state, label or [], filter)
    async with session(common) as mesh:
        found = await mesh.client.list(filter=where, limit=limit)
    if common.json:
        print_json({"songs": [], "next_page_token": "", "total_size": 0} | as_dict(found))
        return
    print_table(found)


async def show(common: Common, name: NAME) -> None:
    """Prints a song as JSON."""
    from harmonia_chassis.saved import to_json
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json

    async with session(common) as mesh:
        song = await mesh.client.get(name)
    print_json(song) if common.json else print(to_json(song), end="")


async def download(
    common: Common,
    name: NAME,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: ./<title>, then -2, …")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another song in --out.")] = False,
) -> None:
    """Saves the folder of a finished song."""
    from harmonia_sdk.cli.compose import Saving, save_and_print
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.folder import check_finished

    async with session(common) as mesh:
        song = await mesh.client.get(name)
        check_finished(song)
        await save_and_print(mesh, song, Saving(out, Path(), force), as_json=common.json)


async def cancel(common: Common, name: NAME) -> None:
    """Stops a song that is not finished."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await mesh.client.cancel(name), as_json=common.json)


async def retry(
    common: Common,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The song; or --filter for many.")] = "",
    filter: Annotated[str, FILTER] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --filter: say which, retry none.")] = False,
) -> None:
    """Goes on with a failed, cancelled or expired song where it stopped."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import NO_SONGS

    where = _one_or_many(name, filter, dry_run=dry_run)
    async with session(common) as mesh:
        if name:
            songs = [await mesh.client.retry(name)]
        else:
            songs = list((await mesh.client.batch_retry(where, validate_only=dry_run)).songs)
        for song in songs:
            _print(song, as_json=common.json)
        if not (songs or common.json):
            print(NO_SONGS)
        if mesh.private and not dry_run:
            await _see_them_through(mesh, songs, as_json=common.json)


async def delete(
    common: Common,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The song; or --filter for many.")] = "",
    filter: Annotated[str, FILTER] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --filter: say which, delete none.")] = False,
) -> None:
    """Deletes songs; `undelete` brings them back within 30 days."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import NO_SONGS, say

    where = _one_or_many(name, filter, dry_run=dry_run)
    async with session(common) as mesh:
        if name:
            _print(await mesh.client.delete(name), as_json=common.json)
            return
        found = await mesh.client.batch_delete(where, validate_only=dry_run)
    for song in found.songs:
        _print(song, as_json=common.json)
    if common.json:
        return
    if not found.songs:
        say(NO_SONGS)
    elif dry_run:
        say(f"{found.total_size} would be deleted")
    elif found.total_size > len(found.songs):
        say(f"{len(found.songs)} of {found.total_size} are deleted: run it again for the rest")


def _one_or_many(name: str, filter: str, *, dry_run: bool) -> str:
    """The filter, checked."""
    from harmonia_sdk.spec import checked_text

    if bool(name) == bool(filter):
        raise InvalidInput("say which: either a NAME or --filter", reason=Reason.MISSING, field="name")
    if dry_run and name:
        raise InvalidInput("--dry-run goes with --filter", reason=Reason.MALFORMED, field="dry_run")
    return checked_text(filter, "filter")


async def undelete(common: Common, name: NAME) -> None:
    """Brings a deleted song back."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await mesh.client.undelete(name), as_json=common.json)


def filter_of(state: str, labels: list[str], filter: str) -> str:
    """One AIP-160 filter out of the options of `list`."""
    from harmonia_sdk.spec import checked_text

    if state and state.upper() not in STATES:
        message = f"state is one of {', '.join(STATES)}, not {state!r}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="state")
    terms = [f"state = {state.upper()}"] if state else []
    for label in labels:
        key, equals, value = checked_text(label, "label").partition("=")
        if not (key and equals):
            raise InvalidInput(f"--label takes KEY=VALUE, not {label!r}", reason=Reason.MALFORMED, field="label")
        terms.append(f'labels.{_quoted_unless_plain(key)} = "{_escaped(value)}"')
    if filter:
        terms.append(f"({checked_text(filter, 'filter')})" if terms else checked_text(filter, "filter"))
    return " AND ".join(terms)


def _quoted_unless_plain(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else f'"{_escaped(key)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _print(song: "song_pb2.Song", *, as_json: bool) -> None:
    from harmonia.song.v1 import song_pb2 as pb
    from harmonia_sdk.cli.show import print_json

    state = "DELETED" if song.HasField("delete_time") else pb.Song.State.Name(song.state)
    print_json(song) if as_json else print(song.name, state)


async def _see_them_through(mesh: "Session", songs: "list[song_pb2.Song]", *, as_json: bool) -> None:
    """The mesh ends with this command, so it waits; the first song that did not succeed is what it ends with."""
    from harmonia_sdk.cli.follow import follow, raise_unless_succeeded

    ended = [await follow(mesh, song.name, as_json=as_json) for song in songs]
    for song in ended:
        if song is not None:
            raise_unless_succeeded(song)
