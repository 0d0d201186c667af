"""Commands about the mesh and this installation."""

import json
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command


def register(app: typer.Typer) -> None:
    add_command(app, "up", up)
    add_command(app, "doctor", doctor)
    add_command(app, "version", version)


async def up(common: Common) -> None:
    """Runs the mesh in the foreground until ctrl-C."""
    from harmonia_sdk.cli.session import home_of, local_installed
    from harmonia_sdk.settings import for_a_mesh

    with local_installed():
        from harmonia_local.up import up as run_mesh
    await run_mesh(home_of(common), json_output=common.json, environment=for_a_mesh())


async def doctor(
    common: Common,
    gpu: Annotated[bool, typer.Option("--gpu", help="The GPU too: driver, memory, bandwidth, kernels.")] = False,
) -> None:
    """Checks what this machine has and what is missing."""
    from harmonia_sdk.cli.doctor import examine

    await examine(common, gpu=gpu, as_json=common.json)


def version(common: Common) -> None:
    """Prints the version."""
    number = version_of("harmonia")
    print(json.dumps({"version": number}) if common.json else f"harmonia {number}")


def print_version(asked: bool) -> None:
    """`harmonia --version`"""
    if asked:
        version(Common())
        raise typer.Exit
