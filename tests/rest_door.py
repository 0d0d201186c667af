"""The HTTP door for tests: built once, and a client of it. Without Go the tests are skipped, in CI they fail."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GO_HOMES = ("/usr/local/go/bin",)


def missing(tool: str) -> None:
    """Ends the test: a skip on a machine of somebody's, a failure where everything is to be tried."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{tool} is missing, and CI tries everything")
    pytest.skip(f"{tool} is missing here")


def environment_with_go() -> dict[str, str]:
    path = os.pathsep.join([os.environ["PATH"], *GO_HOMES])
    if shutil.which("go", path=path) is None:
        missing("Go")
    return dict(os.environ) | {"PATH": path}


def built_rest() -> Path:
    """What `make rest` builds, as new as its sources."""
    environment = environment_with_go()
    binary = Path(sys.executable).parent / "harmonia-rest"
    with (binary.parent / ".harmonia-rest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [ROOT / "rest" / "build.sh", binary]
        built = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert built.returncode == 0, built.stderr
    return binary
