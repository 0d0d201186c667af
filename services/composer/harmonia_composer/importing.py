"""How a model comes in: read and made ours by child processes, so that nobody here feels a bad file or a slow line."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from harmonia_chassis.errors import FailedPrecondition, InvalidInput, Reason, Unavailable
from harmonia_composer.engines.musicgen.engine import installed
from harmonia_composer.layouts import SUMS
from harmonia_composer.models import INVENTORY, NOT_STATED, Inventory, Models, inventory_from, name_from, sha256_of
from harmonia_composer.shelf import Place, Tell, place_from

_CHILDREN = "harmonia_composer.engines.musicgen"
# What Hugging Face calls licences, where SPDX writes them otherwise than in capitals.
_SPDX = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "openrail": "LicenseRef-openrail"}
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_STATED = re.compile(r"^licen[sc]e:\s*[\"']?([A-Za-z0-9.+-]+)", re.MULTILINE)
# Exit code of a child that found nothing wrong with the model, but could not reach it.
UNREACHABLE = 7

# Of the client of Hugging Face: plain HTTP, nothing told about us, patience with slow lines and busy machines.
DOWNLOADING = {
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_ETAG_TIMEOUT": "60",
    "HF_HUB_DOWNLOAD_TIMEOUT": "60",
}

FromS3 = Callable[[Place, Path, Tell], Awaitable[None]]


class Importer:
    """`from_s3` reads what lies at a place into a folder: Shelf.bring."""

    def __init__(self, models: Models, from_s3: FromS3, *, hub_url: str, downloads: Path) -> None:
        self._models = models
        self._from_s3 = from_s3
        self._hub_url = hub_url
        self._downloads = downloads

    async def from_folder(
        self, folder: Path, *, name: str, licence: str, tell: Tell, origin: str = "", revision: str = ""
    ) -> Inventory:
        """Raises InvalidInput when it holds no model that can be played, and what Models.settle raises."""
        refuse_without_torch()
        if not await asyncio.to_thread(_is_whole_path, folder):
            message = f"{str(folder)!r} is no folder on the machine of the composer: name one by its whole path"
            raise InvalidInput(message, reason=Reason.MALFORMED, field="folder")
        ours = await asyncio.to_thread(_own_inventory, folder)
        stated = licence or (ours.licence if ours else await asyncio.to_thread(licence_stated_in, folder))
        called = name or (ours.name if ours else name_from(origin or str(folder)))
        with self._models.incoming(called) as target:
            tell(0.5, "reading the weights")
            await _run("convert", [str(folder), str(target)])
            tell(0.9, "checking the files")
            return await asyncio.to_thread(
                self._models.settle, target, name=called, licence=stated,
                origin=origin or f"folder:{folder}", revision=revision,
            )  # fmt: skip

    async def from_repository(self, repository: str, *, name: str, licence: str, tell: Tell) -> Inventory:
        """What was downloaded before it broke off is not downloaded again. Raises Unavailable, and as from_folder."""
        refuse_without_torch()
        wanted, _, revision = repository.partition("@")
        folder = await self._folder_of(repository)
        told = await _run("download", [self._hub_url, wanted, revision or "main", str(folder)], tell=tell)
        inventory = await self.from_folder(
            folder,
            name=name or name_from(wanted),
            licence=licence or licence_of(str(told.get("licence", ""))),
            tell=tell,
            origin=f"hf:{wanted}",
            revision=str(told.get("revision", "")),
        )
        await asyncio.to_thread(_remove, folder)
        return inventory

    async def from_prefix(self, prefix: str, *, name: str, licence: str, tell: Tell) -> Inventory:
        """As from_repository, from a folder on the S3 of the mesh: "s3://bucket/folder"."""
        refuse_without_torch()
        place = place_from(prefix)
        folder = await self._folder_of(prefix)
        await self._from_s3(place, folder, lambda fraction, message: tell(0.5 * fraction, message))
        inventory = await self.from_folder(folder, name=name, licence=licence, tell=tell, origin=str(place))
        await asyncio.to_thread(_remove, folder)
        return inventory

    async def _folder_of(self, source: str) -> Path:
        """Where what comes from there waits; the same again after a restart."""
        folder = (self._downloads / re.sub(r"[^A-Za-z0-9._-]+", "--", source)).absolute()
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
        return folder


def refuse_without_torch() -> None:
    if not installed():
        message = (
            "torch is not installed here, without which no model is read: "
            "`make musicgen` installs it, 6 GB, once, or pip install 'harmonia-composer[musicgen]'"
        )
        raise FailedPrecondition(message, reason=Reason.NOT_READY, field="engine")


def _is_whole_path(folder: Path) -> bool:
    return folder.is_absolute() and folder.is_dir()


def licence_of(stated: str) -> str:
    """SPDX id of what a model card says."""
    if not stated:
        return NOT_STATED
    known = _SPDX.get(stated.lower())
    return known or (stated.upper() if stated.lower().startswith("cc") else f"LicenseRef-{stated}")


def licence_stated_in(folder: Path) -> str:
    """In the front matter of its model card."""
    card = folder / "README.md"
    if not card.is_file():
        return NOT_STATED
    _, _, rest = card.read_text(errors="replace").partition("---\n")
    stated = _STATED.search(rest.partition("\n---")[0])
    return licence_of(stated[1] if stated else "")


def _own_inventory(folder: Path) -> Inventory | None:
    """Of a model that was one before. Raises InvalidInput where a file is not what stands beside it."""
    ours = _read_inventory(folder)
    stated = {file.path: file.sha256 for file in ours.files} if ours else {}
    for path, sha256 in (stated | sums_stated_in(folder)).items():
        if (folder / path).is_file() and sha256_of(folder / path) != sha256:
            message = f"{path} is not what the digests beside it say: get the model again"
            raise InvalidInput(message, reason=Reason.MODEL_DAMAGED, field="folder")
    return ours


def _read_inventory(folder: Path) -> Inventory | None:
    try:
        return inventory_from((folder / INVENTORY).read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as exc:
        raise InvalidInput(
            f"{INVENTORY} there is not one: {exc}", reason=Reason.MODEL_UNREADABLE, field="folder"
        ) from exc


def sums_stated_in(folder: Path) -> dict[str, str]:
    """As `sha256sum` writes them, by path."""
    file = folder / SUMS
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    return {found[2].removeprefix("./"): found[1] for line in lines if (found := _SUM.fullmatch(line))}


async def _run(
    child: str, arguments: Sequence[str], *, tell: Tell = lambda _fraction, _message: None
) -> Mapping[str, object]:
    """What the child says last; ended with whoever waits for it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"{_CHILDREN}.{child}", *arguments, stdout=PIPE, stderr=PIPE, env=_environment()
    )  # fmt: skip
    said: Mapping[str, object] = {}
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        async for line in process.stdout:
            said = json.loads(line)
            tell(0.5 * float(str(said.get("fraction", 1.0))), str(said.get("message", "")))
        complaint = (await process.stderr.read()).decode(errors="replace").strip()
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code == UNREACHABLE:
        raise Unavailable(_last_line(complaint), reason=Reason.UNREACHABLE)
    if code > 0:
        raise InvalidInput(_last_line(complaint), reason=Reason.MODEL_UNREADABLE, field="source")
    if code < 0:
        raise FailedPrecondition(f"reading the model ended by signal {-code}", reason=Reason.MODEL_UNREADABLE)
    return said


def _environment() -> dict[str, str]:
    """Nothing of ours, and nothing that would make the client of Hugging Face talk to others than `hub_url`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HARMONIA_", "HF_"))}
    return kept | DOWNLOADING


def _last_line(complaint: str) -> str:
    return complaint.splitlines()[-1] if complaint else "the model could not be read"


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
