"""The mesh whose composer has a GPU: what kustomize renders of k8s/overlays/gpu, and the image it needs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.unit.k8s.test_manifests import Manifest, environment_of, of_kind, pods, rendered

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "deploy" / "gpu.Dockerfile").read_text()


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return rendered("overlays/gpu")


@pytest.fixture(scope="module")
def composer(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = pods(manifests)["composer"]["spec"]
    return spec


def test_it_fits_the_schema_of_kubernetes(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if not manifest["apiVersion"].startswith("cert-manager.io"):
            kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_the_composer_goes_where_a_gpu_is_and_takes_one(composer: dict[str, Any]) -> None:
    [container] = composer["containers"]

    assert composer["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert composer["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["image"] == "harmonia-composer-gpu:0.1.0"


def test_nobody_else_asks_for_a_gpu(manifests: list[Manifest]) -> None:
    asking = {
        name
        for name, pod in pods(manifests).items()
        if any("nvidia.com/gpu" in one["resources"].get("limits", {}) for one in pod["spec"]["containers"])
    }

    assert asking == {"composer"}


def test_a_roll_out_does_not_wait_for_a_gpu_that_the_old_pod_holds(manifests: list[Manifest]) -> None:
    strategy = of_kind(manifests, "Deployment")["composer"]["spec"]["strategy"]

    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_models_outlive_the_pod_and_memory_is_shared(manifests: list[Manifest], composer: dict[str, Any]) -> None:
    volumes = {volume.pop("name"): volume for volume in [dict(volume) for volume in composer["volumes"]]}
    mounts = {mount["name"]: mount["mountPath"] for mount in composer["containers"][0]["volumeMounts"]}

    assert volumes["models"] == {"persistentVolumeClaim": {"claimName": "models"}}
    assert "models" in of_kind(manifests, "PersistentVolumeClaim")
    assert volumes["shared-memory"] == {"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    assert (mounts["models"], mounts["shared-memory"]) == ("/models", "/dev/shm")


def test_it_stays_within_the_restricted_standard(composer: dict[str, Any]) -> None:
    security = composer["containers"][0]["securityContext"]

    assert composer["securityContext"]["runAsNonRoot"] is True
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    kinds = {kind for volume in composer["volumes"] for kind in volume} - {"name"}
    assert kinds <= {"secret", "configMap", "emptyDir", "persistentVolumeClaim"}


def test_every_path_it_is_told_is_mounted_and_its_settings_start_it(manifests: list[Manifest]) -> None:
    ours = environment_of(manifests, "composer")
    [container] = pods(manifests)["composer"]["spec"]["containers"]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    others = {name: value for name, value in os.environ.items() if not name.startswith("HARMONIA_")}

    command = [sys.executable, "-m", "harmonia_composer", "--check"]
    checked = subprocess.run(command, env=others | ours, capture_output=True, text=True, check=False, timeout=60)

    assert (checked.returncode, checked.stderr) == (0, "")
    paths = [value for value in ours.values() if value.startswith("/")]
    assert {"/models", "/scratch/triton"} <= set(paths)
    assert all(any(f"{path}/".startswith(f"{mount}/") for mount in mounts) for path in paths)


def test_the_image_is_made_of_the_plain_one_and_of_hashes() -> None:
    copies = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copies for source in line.split()[:-1]]
    installs = re.findall(r"pip install [^&\n]+", DOCKERFILE)

    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert len(installs) == 2
    assert all("--require-hashes" in install for install in installs)
    assert re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)[-1] == "65532"
