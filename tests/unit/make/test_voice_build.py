"""`make voice`, and what of `make test` needs it, on a machine without a C++ compiler."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "requirements" / "voice.sh"


def built(*command: str, compiler: str, ci: str) -> tuple[int, str, str]:
    environment = dict(os.environ) | {"CXX": compiler, "CI": ci}
    told = subprocess.run([SCRIPT, *command], env=environment, check=False, capture_output=True, text=True)
    return told.returncode, told.stdout, told.stderr


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])
def test_without_a_compiler_one_line_says_what_why_and_how_to_get_it(ci: str, code: int) -> None:
    ended, out, error = built("echo", "built", compiler="/nowhere/g++ -pthread", ci=ci)

    assert (ended, out, error.count("\n")) == (code, "", 1)
    assert "/nowhere/g++ is not here, with which the vocoder of the guide voice is built" in error
    assert "nobody will sing" in error
    assert "apt install g++" in error


@pytest.mark.parametrize(("command", "ci", "code"), [("true", "true", 0), ("false", "", 0), ("false", "true", 1)])
def test_with_one_it_is_built_and_only_on_ci_must_it_succeed(command: str, ci: str, code: int) -> None:
    ended, _, error = built(command, compiler="sh", ci=ci)

    assert ended == code
    assert ("does not build here" in error) == (command == "false")
