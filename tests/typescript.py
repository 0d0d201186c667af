"""The TypeScript SDK for tests: installed and built once. Without Node the tests are skipped, in CI they fail."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.rest_door import ROOT, missing

SDK = ROOT / "sdk" / "typescript"


def node() -> str:
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        missing("Node")
    return found or ""


def built_sdk() -> Path:
    """Its dist folder. Fetches packages the first time, and when the lock has changed."""
    node()
    installed = SDK / "node_modules" / ".package-lock.json"
    with (SDK / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < (SDK / "package-lock.json").stat().st_mtime:
            run("npm", "ci", "--no-progress")
        run(str(SDK / "node_modules" / ".bin" / "tsc"), "--project", ".")
    return SDK / "dist"


def run(*command: str) -> str:
    environment = dict(os.environ) | {"NO_UPDATE_NOTIFIER": "1"}
    done = subprocess.run(command, cwd=SDK, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
