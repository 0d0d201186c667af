"""schemathesis on the OpenAPI document that a real mesh serves: `python -m tests.fuzz_rest --cases 2000 --seed 1`.

Songs, files, keys and whatever else is there give it names to try, so that it reaches past NOT_FOUND;
`--operator` makes the cases an operator's. Prints what it found, and how many cases it made; exits 1 when an answer was
500 or more, or not as the document says.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from harmonia_local.mesh import Mesh, running_mesh
from tests.rest_door import built_rest

SMALL = Path(__file__).parent / "integration" / "gateway" / "small_service.py"
COMMANDS = {name: (sys.executable, str(SMALL), name) for name in ("composer", "mastering")}
SETTINGS = {
    "HARMONIA_RATE_CREATES": "1000000",
    "HARMONIA_RATE_READS": "1000000",
    "HARMONIA_RATE_STRANGERS": "1000000",
    "HARMONIA_TENANT_UNFINISHED": "1000000",
    "HARMONIA_WEBHOOK_ALLOW": "127.0.0.1/32",
}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "missing_required_header",
    "ignored_auth",
)
# One case of an operation costs about 1 of these, and the phase before it makes some hundreds of its own.
OPERATIONS = 32


async def names_of(mesh: Mesh, token: str) -> dict[str, str]:
    """Of things that are there, by the parameter that takes them."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=mesh.info.rest or "", headers=headers, timeout=60) as client:
        song = (await client.post("/v1/songs", json={"spec": {"prompt": "rain"}, "wait": "30s"})).json()
        key = (await client.post("/v1/keys", json={})).json()["key"]
        upload = (await client.post("/v1/uploads", json={"media_type": "text/plain", "size_bytes": 1 << 20})).json()
        hook = (await client.post("/v1/webhooks", json={"url": "https://127.0.0.1:1/"})).json()["webhook"]
        project = (await client.post("/v1/projects", json={"title": "Rain", "songs": [song["name"]]})).json()
        share = (await client.post("/v1/shares", json={"song": song["name"]})).json()
    found = {"song": song, "key": key, "upload": upload, "webhook": hook, "project": project, "share": share["share"]}
    names = {f"path.{kind}": thing["name"].partition("/")[2] for kind, thing in found.items()}
    return names | {"path.artifact": song["outputs"][0]["sha256"], "path.link": share["path"].rpartition("/")[2]}


async def fuzz(home: Path, *, cases: int, seed: int, as_operator: bool = False) -> tuple[int, int, str]:
    """Exit code, number of cases, and what schemathesis said."""
    async with running_mesh(
        home, commands=COMMANDS, environment=SETTINGS, lease_s=2, rest=built_rest(), say=lambda _: None
    ) as mesh:
        token = Path(mesh.info.operator_token_file if as_operator else mesh.info.token_file).read_text().strip()
        lines = [f'"{name}" = {json.dumps(value)}' for name, value in (await names_of(mesh, token)).items()]
        config = home / "schemathesis.toml"
        config.write_text("\n".join(["[parameters]", *lines, ""]))
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={config}",
            "run",
            f"{mesh.info.rest}/openapi.json",
            f"--header=Authorization: Bearer {token}",
            f"--seed={seed}",
            f"--max-examples={max(1, cases // OPERATIONS)}",
            f"--checks={','.join(CHECKS)}",
            "--phases=coverage,fuzzing",
            "--generation-deterministic",
            "--no-color",
        ]
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        run = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=3000,
        )
    made = re.search(r"^\s*(\d+) generated", run.stdout, re.MULTILINE)
    return run.returncode, int(made[1]) if made else 0, run.stdout + run.stderr


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.fuzz_rest")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--operator", action="store_true", help="with the operator's token")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ran = fuzz(Path(folder), cases=asked.cases, seed=asked.seed, as_operator=asked.operator)
        code, made, told = asyncio.run(ran)
    print(told)
    print(f"{made} cases, {'nothing found' if code == 0 else 'failures'}")
    sys.exit(code)


if __name__ == "__main__":
    main()
