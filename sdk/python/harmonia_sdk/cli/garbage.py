"""`harmonia garbage`: one round of garbage collection over the store, for whoever runs the mesh."""

from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command

if TYPE_CHECKING:
    from harmonia.artifact.v1 import artifact_pb2 as pb


def register(app: typer.Typer) -> None:
    add_command(app, "garbage", garbage)


async def garbage(
    common: Common,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what may go.")] = False,
) -> None:
    """Removes files that no song needs, as the mesh does every hour; for operators."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import as_dict, print_json

    async with session(common) as mesh:
        async for part in mesh.operator.collect_garbage(dry_run=dry_run):
            if common.json:
                print_json(as_dict(part))
            elif part.HasField("garbage"):
                print(_line(part.garbage))
            else:
                print(_sum(part.summary, dry_run=dry_run))


def _line(found: "pb.Garbage") -> str:
    fate = type(found).Fate.Name(found.fate).lower()
    since = found.refresh_time.ToDatetime()
    return (
        f"{fate:<9}  {found.storage_class or 'stray':<10}  {found.size_bytes:>12,}  {since:%Y-%m-%d %H:%M}  {found.key}"
    )


def _sum(summary: "pb.CollectGarbageResponse.Summary", *, dry_run: bool) -> str:
    if dry_run:
        return f"nothing was changed; {summary.records} records of songs were read"
    removed = f"removed {summary.removed} ({summary.removed_bytes:,} bytes)"
    return f"{removed}, marked {summary.condemned} for a round in an hour; {summary.records} records of songs were read"
