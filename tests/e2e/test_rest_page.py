"""docs/rest.md is true and whole: its examples are run, in order and in one shell, against a real mesh."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from harmonia_local.mesh import running_mesh
from tests.pages import BETWEEN, examples, untrue
from tests.receiver import Receiver, make_certificate, receiving
from tests.rest_door import ROOT, built_rest

# What answers 4xx here, for want of weights, and of a store on S3.
REFUSED = {("GET", "/v1/{name=models/*}"), ("POST", "/v1/{name=models/*}:verify"), ("DELETE", "/v1/{name=models/*}")}
REFUSED |= {("POST", "/v1/models:import"), ("POST", "/v1/{name=artifacts/*}:link")}


@pytest.mark.timeout(300)
async def test_every_example_of_the_page_does_what_it_says_and_no_operation_is_left_out(tmp_path: Path) -> None:
    found = examples("rest.md", "sh")
    script = f"\necho '{BETWEEN}'\n".join(commands for commands, _ in found)
    certificate = tmp_path / "receiver.pem"
    make_certificate(certificate)
    allowed = {"HARMONIA_WEBHOOK_ALLOW": "127.0.0.0/8,::1/128", "HARMONIA_WEBHOOK_CA": str(certificate)}
    async with (
        receiving(Receiver(), certificate) as receiver,
        running_mesh(tmp_path / "home", environment=allowed, rest=built_rest(), say=lambda _: None) as mesh,
    ):
        variables = {
            "PATH": os.environ["PATH"],
            "REST": mesh.info.rest or "",
            "TOKEN": Path(mesh.info.token_file).read_text().strip(),
            "OPERATOR": Path(mesh.info.operator_token_file).read_text().strip(),
            "HOOK": f"https://127.0.0.1:{receiver.port}/told",
        }
        run = await asyncio.to_thread(
            subprocess.run,
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        log = Path(mesh.info.service("rest").log)

    assert run.returncode == 0, run.stdout + run.stderr
    printed = run.stdout.split(f"{BETWEEN}\n")
    assert untrue(found, printed) == []
    assert len(receiver.received) == 1
    assert operations() - answered(log) == set(), "docs/rest.md shows no such call"


def operations() -> set[tuple[str, str]]:
    document = json.loads((ROOT / "rest" / "openapi.json").read_text())
    return {
        (method.upper(), whole(operation["x-pattern"]))
        for operations in document["paths"].values()
        for method, operation in operations.items()
    }


def answered(log: Path) -> set[tuple[str, str]]:
    """What the door says it answered, well or as it must."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    calls = [(line["method"], line["route"], line["status"]) for line in lines if line["event"] == "http"]
    return {(method, whole(route)) for method, route, status in calls if status < 400 or (method, route) in REFUSED}


def whole(pattern: str) -> str:
    """`{word}` as grpc-gateway writes it."""
    return re.sub(r"\{(\w+)\}", r"{\1=*}", pattern)
