"""`harmonia model …`: the weights that engines play."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from harmonia.model.v1.model_pb2 import Model, ModelEvent
    from harmonia_sdk.models import AsyncModels

HUB, S3 = "hf:", "s3://"
NAME = Annotated[str, typer.Argument(metavar="NAME")]
CALLED = Annotated[str, typer.Option("--name", metavar="NAME", help="Its name here; default: made from its source's.")]
LICENCE = Annotated[str, typer.Option("--licence", metavar="SPDX", help="Of weights whose source states none.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(name="model", help="The weights that engines play.", no_args_is_help=True)
    for name, command in (("list", models), ("import", bring), ("pull", pull), ("verify", verify), ("evict", evict)):
        add_command(group, name, command)
    app.add_typer(group)


async def models(common: Common) -> None:
    """Lists the models of the mesh, with their licences."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json, say

    async with session(common) as mesh:
        found = await mesh.client.models.list()
    if not common.json and not found:
        say("no models: harmonia model import DIR, or harmonia model pull hf:facebook/musicgen-small")
    for model in found:
        print_json(model) if common.json else say(_line(model))


async def bring(
    common: Common, folder: Annotated[Path, typer.Argument(metavar="DIR")], called: CALLED = "", licence: LICENCE = ""
) -> None:
    """Makes a folder of weights a model of the mesh: audiocraft's layout, or Hugging Face's."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await brought(mesh.operator.models, folder, called, licence, quiet=common.json), common)


async def pull(
    common: Common,
    source: Annotated[str, typer.Argument(metavar="hf:OWNER/NAME[@REVISION]|s3://BUCKET/FOLDER")],
    called: CALLED = "",
    licence: LICENCE = "",
) -> None:
    """Brings a model from Hugging Face, or from the mesh's S3; what broke off goes on where it stopped."""
    from harmonia_sdk.cli.session import session

    if not source.startswith((HUB, S3)):
        message = (
            f"{source[:80]!r} is no source: name a repository, as in hf:facebook/musicgen-small, or a folder on the "
            "mesh's S3, as in s3://bucket/models/small"
        )
        raise InvalidInput(message, reason=Reason.MALFORMED, field="source")
    prefix = source if source.startswith(S3) else ""
    repository = source.removeprefix(HUB) if not prefix else ""
    async with session(common) as mesh:
        coming = mesh.operator.models.bring(repository=repository, prefix=prefix, name=called, licence=licence)
        _print(await _arrived(coming, quiet=common.json), common)


async def verify(common: Common, name: NAME) -> None:
    """Reads every file of a model and compares it with the inventory; exit 5 names the one that differs."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await mesh.operator.models.verify(name), common)


async def evict(common: Common, name: NAME) -> None:
    """Removes a model from the disk; not while it is played."""
    from harmonia_sdk.cli.session import session

    async with session(common) as mesh:
        _print(await mesh.operator.models.evict(name), common)


async def brought(models: "AsyncModels", folder: Path, called: str, licence: str, *, quiet: bool) -> "Model":
    return await _arrived(models.bring(folder=_whole(folder), name=called, licence=licence), quiet=quiet)


async def _arrived(events: "AsyncGenerator[ModelEvent, None]", *, quiet: bool) -> "Model":
    from harmonia_sdk.cli.show import say

    async for event in events:
        if event.HasField("model"):
            return event.model
        if not quiet:
            say(f"{event.progress.fraction:4.0%} {event.progress.message}")
    raise InvalidInput("the mesh told of no model", reason=Reason.MODEL_UNREADABLE, field="model")


def _whole(folder: Path) -> Path:
    if not folder.is_dir():
        raise InvalidInput(f"{str(folder)!r} is no folder", reason=Reason.MALFORMED, field="model")
    return folder.absolute()


def _print(model: "Model", common: Common) -> None:
    from harmonia_sdk.cli.show import print_json, say

    print_json(model) if common.json else say(_line(model))


def _line(model: "Model") -> str:
    size = f"{model.bytes / 1e6:.1f} MB"
    where = "loaded" if model.resident else ""
    return f"{model.name.removeprefix('models/'):<32} {model.licence:<22} {size:>12}  {model.origin}  {where}".rstrip()
