"""The TypeScript SDK, by its own tests in Node, against a real mesh; and its types, which are those of the document."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from harmonia_local.mesh import Mesh
from tests.typescript import SDK, built_sdk, node, run

pytestmark = [pytest.mark.timeout(300)]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_sdk_passes_its_own_tests(mesh: Mesh, token):
    dist = await asyncio.to_thread(built_sdk)
    environment = {"PATH": os.environ["PATH"], "REST": mesh.info.rest or "", "TOKEN": token}
    command = [node(), "--test", "--test-timeout=30000", str(dist / "test" / "client.test.js")]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout or "ℹ fail 0" in done.stdout


def test_the_types_are_those_of_the_document(tmp_path: Path):
    built_sdk()
    fresh = tmp_path / "schema.ts"
    flags = ("--root-types", "--root-types-no-schema-prefix")
    generator = str(SDK / "node_modules" / ".bin" / "openapi-typescript")
    run(generator, str(SDK.parents[1] / "rest" / "openapi.json"), "--output", str(fresh), *flags)

    assert fresh.read_text() == (SDK / "src" / "schema.ts").read_text(), "run npm run generate in sdk/typescript"


def test_the_lock_names_no_host_to_fetch_from():
    lock = (SDK / "package-lock.json").read_text()

    assert '"resolved"' not in lock
    assert '"integrity"' in lock
