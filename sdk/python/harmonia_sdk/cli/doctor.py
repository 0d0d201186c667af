"""`harmonia doctor`: what harmonia_local finds on this machine, and whether the mesh to be used answers."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

from harmonia_sdk.cli.options import Common
from harmonia_sdk.cli.session import home_of, plain_words, remote_of
from harmonia_sdk.cli.show import say
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.endpoint import Endpoint, local_endpoint
from harmonia_sdk.errors import FailedPrecondition, HarmoniaError, Reason


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    ok: bool
    detail: str
    way_out: str = ""
    needed: bool = True  # False: nothing but comfort is missing


async def examine(common: Common, *, gpu: bool, as_json: bool) -> None:
    """Exit code 5 when something that is needed is missing."""
    missing = []
    async for finding in _findings(common, gpu=gpu):
        if finding.needed and not finding.ok:
            missing.append(finding.check)
        _print(finding, as_json=as_json)
    if missing:
        raise FailedPrecondition(f"not ready: {', '.join(missing)}", reason=Reason.NOT_READY, field=missing[0])


async def _findings(common: Common, *, gpu: bool) -> AsyncIterator[Finding]:
    remote = remote_of(common)
    if gpu:
        for finding in await _gpu():
            yield finding
    for finding in await _this_machine(home_of(common), needed=remote is None):
        yield finding
    yield await _mesh(common, remote)


async def _this_machine(home: Path, *, needed: bool) -> list[Finding]:
    try:
        from harmonia_local import doctor
    except ModuleNotFoundError:
        detail, way_out = "this machine has no mesh of its own, only the client", "pip install 'harmonia[local]'"
        return [Finding("harmonia_local", False, detail, way_out, needed=False)]
    found = await doctor.examine(home)
    return [Finding(check.name, check.ok, check.detail, check.way_out, needed=needed) for check in found]


async def _gpu() -> list[Finding]:
    """By a process of its own: what it looks at takes gigabytes, and may fail in ways that end a process."""
    command = [sys.executable, "-m", "harmonia_composer.engines.musicgen.gpu"]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    told, complaint = await process.communicate()
    if process.returncode != 0:
        last = (complaint.decode(errors="replace").strip().splitlines() or ["it ended without a word"])[-1]
        return [Finding("gpu", False, f"cannot be looked at: {last}", "make song ARGS='--engine musicgen'")]
    return [Finding(**json.loads(line)) for line in told.splitlines()]


async def _mesh(common: Common, remote: Endpoint | None) -> Finding:
    try:
        endpoint = remote or local_endpoint(home_of(common))
        if endpoint is None:
            return Finding("running", True, "no mesh runs; commands start their own", needed=False)
        async with AsyncClient.at(endpoint) as client:
            with plain_words(endpoint):
                await client.capabilities()
    except HarmoniaError as error:
        return Finding("running", False, error.message)
    return Finding("running", True, f"the mesh at {endpoint.address} answers")


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(finding)), flush=True)
        return
    mark = "ok" if finding.ok else "MISSING" if finding.needed else "-"
    way_out = f": {finding.way_out}" if finding.way_out else ""
    say(f"{mark:<8} {finding.check:<18} {finding.detail}{way_out}")
