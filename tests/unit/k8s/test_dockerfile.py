"""The Dockerfile against the tree: there is no engine in the tests, but what it copies must exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())


@pytest.mark.parametrize("service", SERVICES)
def test_every_source_that_is_copied_exists(service: str) -> None:
    copies = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copies for source in line.replace("${SERVICE}", service).split()[:-1]]

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_of_the_door_for_http_copies_what_is_there_and_builds_as_make_rest_does() -> None:
    dockerfile = (ROOT / "deploy" / "rest.Dockerfile").read_text()
    ignored = (ROOT / "deploy" / "rest.Dockerfile.dockerignore").read_text().split()
    copies = re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
    sources = [source for line in copies for source in line.split()[:-1]]
    [go] = re.findall(r"^ARG GO=(.+)$", dockerfile, re.MULTILINE)
    [user] = re.findall(r"^USER (\d+):\d+$", dockerfile, re.MULTILINE)
    pod = next(yaml.safe_load_all((ROOT / "k8s/components/rest/rest.yaml").read_text().rpartition("---\n")[2]))

    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert ignored == ["*", "!rest"]
    assert "RUN ./rest/build.sh /harmonia-rest" in dockerfile
    assert f"\ngo {go}." in (ROOT / "rest" / "go.mod").read_text()
    assert int(user) == pod["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert re.search(r"^FROM scratch$", dockerfile, re.MULTILINE)


def test_what_is_installed_is_hashed() -> None:
    installs = re.findall(r"pip install [^&\n]+", DOCKERFILE)

    assert len(installs) == 4
    assert all("--require-hashes" in install or "--no-deps --no-index" in install for install in installs)


def test_the_backend_is_taken_from_a_lock_that_has_it() -> None:
    assert re.search(r"^hatchling==\S+ \\$", (ROOT / "requirements" / "embedded.lock").read_text(), re.MULTILINE)


def test_the_image_runs_as_the_user_that_the_manifests_name() -> None:
    [user] = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    pod = yaml.safe_load((ROOT / "k8s" / "base" / "service.yaml").read_text())["spec"]["template"]["spec"]

    assert int(user) == pod["securityContext"]["runAsUser"]
