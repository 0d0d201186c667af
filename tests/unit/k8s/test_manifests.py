"""What the manifests promise, read from what kustomize renders: schemas, security, edges, and settings that start."""

import base64
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from google.protobuf.descriptor_pool import Default

from harmonia.access.v1 import access_pb2
from harmonia.composer.v1 import composer_pb2
from harmonia.identity.v1 import identity_pb2
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.mastering.v1 import mastering_pb2
from harmonia.store.v1 import store_pb2
from harmonia_chassis.lanes import accounts
from harmonia_gateway.outside import is_public
from tests.rest_door import built_rest

K8S = Path(__file__).parents[3] / "k8s"
SERVICES = ("gateway", "lyricist", "composer", "mastering", "artifacts")
REST = "rest"  # a component: the base does without it
Manifest = dict[str, Any]
Network = IPv4Network | IPv6Network

# Files of the internal doors, and who answers there.
CONTRACTS = (
    (identity_pb2, "gateway"),
    (lyricist_pb2, "lyricist"),
    (composer_pb2, "composer"),
    (mastering_pb2, "mastering"),
    (store_pb2, "artifacts"),
)


def renderer() -> list[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if kustomize := shutil.which("kustomize", path=path):
        return [kustomize, "build"]
    if kubectl := shutil.which("kubectl", path=path):
        return [kubectl, "kustomize"]
    if os.environ.get("CI") == "true":
        pytest.fail("neither kustomize nor kubectl: `make -C k8s kustomize` builds the first with Go")
    pytest.skip("neither kustomize nor kubectl is here: `make -C k8s kustomize` builds the first with Go")


def rendered(folder: str) -> list[Manifest]:
    output = subprocess.run([*renderer(), str(K8S / folder)], check=True, capture_output=True, timeout=60)
    return list(yaml.safe_load_all(output.stdout))


@pytest.fixture(scope="module", params=["base", "overlays/dev"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return rendered(request.param)


@pytest.fixture(scope="module")
def dev() -> list[Manifest]:
    return rendered("overlays/dev")


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    return {found["metadata"]["name"]: found for found in manifests if found["kind"] in kinds}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Pod templates by the name of what makes them."""
    workloads = of_kind(manifests, "Deployment", "StatefulSet")
    return {name: found["spec"]["template"] for name, found in workloads.items()}


def test_every_manifest_fits_the_schema_of_kubernetes(manifests: list[Manifest]) -> None:
    unknown = set()
    for manifest in manifests:
        try:
            kubernetes_validate.validate(manifest, "1.37", strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            unknown.add(manifest["apiVersion"])

    assert unknown == {"cert-manager.io/v1"}


def test_the_five_services_and_their_broker_are_there(manifests: list[Manifest]) -> None:
    assert set(of_kind(manifests, "Deployment")) - {REST} == set(SERVICES)
    assert "nats" in of_kind(manifests, "StatefulSet")
    assert all(found["metadata"].get("namespace", "harmonia") == "harmonia" for found in manifests)


def test_pods_meet_the_restricted_standard(manifests: list[Manifest]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root."""
    [namespace] = of_kind(manifests, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(manifests).values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert all(set(volume) <= {"name", "secret", "configMap", "emptyDir"} for volume in spec["volumes"])
        for container in spec["containers"] + spec.get("initContainers", []):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True


def test_kubernetes_injects_no_variable_that_a_service_would_refuse(manifests: list[Manifest]) -> None:
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in pods(manifests).values())


def test_every_container_says_what_memory_it_needs(manifests: list[Manifest]) -> None:
    for pod in pods(manifests).values():
        for container in pod["spec"]["containers"]:
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


def test_services_are_probed_by_grpc_on_the_health_port(manifests: list[Manifest]) -> None:
    for name in set(SERVICES) | of_kind(manifests, "Deployment").keys():
        [container] = pods(manifests)[name]["spec"]["containers"]
        assert container["livenessProbe"]["grpc"] == {"port": 8080, "service": "live"}
        assert container["readinessProbe"]["grpc"] == {"port": 8080, "service": "ready"}


def test_a_pod_has_longer_to_end_than_its_service_has_to_drain(manifests: list[Manifest]) -> None:
    for name in set(SERVICES) | of_kind(manifests, "Deployment").keys():
        spec = pods(manifests)[name]["spec"]
        environment = environment_of(manifests, name)
        pause_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        drain_s = float(environment["HARMONIA_DRAIN_GRACE_S"])
        assert spec["terminationGracePeriodSeconds"] >= pause_s + drain_s + 15


def environment_of(manifests: list[Manifest], name: str) -> dict[str, str]:
    maps = of_kind(manifests, "ConfigMap")
    [container] = pods(manifests)[name]["spec"]["containers"]
    environment: dict[str, str] = {}
    for source in container.get("envFrom", []):
        environment |= maps[source["configMapRef"]["name"]]["data"]
    for variable in container["env"]:
        environment[variable["name"]] = str(variable.get("value", f"{name}-0"))
    return environment


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_accepts_its_settings_and_misses_none(dev: list[Manifest], service: str) -> None:
    ours = environment_of(dev, service)
    others = {name: value for name, value in os.environ.items() if not name.startswith("HARMONIA_")}

    command = [sys.executable, "-m", f"harmonia_{service}", "--check"]
    checked = subprocess.run(command, env=others | ours, capture_output=True, text=True, check=False, timeout=60)

    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_door_for_http_accepts_its_settings_and_misses_none(dev: list[Manifest]) -> None:
    checked = subprocess.run(
        [built_rest(), "--check"],
        env=environment_of(dev, REST),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_file_that_settings_name_is_mounted(dev: list[Manifest]) -> None:
    for service in (*SERVICES, REST):
        [container] = pods(dev)[service]["spec"]["containers"]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        paths = [value for value in environment_of(dev, service).values() if value.startswith("/")]
        assert all(any(f"{path}/".startswith(f"{mount}/") for mount in mounts) for path in paths), paths


def test_writable_places_are_empty_directories(dev: list[Manifest]) -> None:
    for service in (*SERVICES, REST):
        spec = pods(dev)[service]["spec"]
        writable = {"scratch", "tmp", "state"}
        assert {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume} <= writable
        for mount in spec["containers"][0]["volumeMounts"]:
            assert mount.get("readOnly", False) is (mount["name"] not in writable)


def test_everything_that_is_named_exists(dev: list[Manifest]) -> None:
    secrets = set(of_kind(dev, "Secret"))
    secrets |= {found["spec"]["secretName"] for found in of_kind(dev, "Certificate").values()}
    maps, people = of_kind(dev, "ConfigMap"), of_kind(dev, "ServiceAccount")
    issuers = of_kind(dev, "Issuer")

    for name, pod in pods(dev).items():
        volumes = pod["spec"]["volumes"]
        assert {volume["secret"]["secretName"] for volume in volumes if "secret" in volume} <= secrets
        assert {volume["configMap"]["name"] for volume in volumes if "configMap" in volume} <= set(maps)
        assert pod["spec"]["serviceAccountName"] == name in people
    for certificate in of_kind(dev, "Certificate").values():
        assert certificate["spec"]["issuerRef"]["name"] in issuers
    for issuer in issuers.values():
        assert issuer["spec"].get("ca", {"secretName": "mesh-ca"})["secretName"] in secrets


def test_every_selector_finds_pods_and_every_target_port_is_open(dev: list[Manifest]) -> None:
    templates = pods(dev)
    for service in of_kind(dev, "Service").values():
        [pod] = selected(templates, service["spec"]["selector"])
        ports = {port.get("name"): port["containerPort"] for port in ports_of(templates[pod])}
        for port in service["spec"]["ports"]:
            target = port.get("targetPort", port["port"])
            assert target in ports or target in ports.values()
    for budget in of_kind(dev, "PodDisruptionBudget").values():
        assert selected(templates, budget["spec"]["selector"]["matchLabels"]) == [budget["metadata"]["name"]]


def test_every_service_survives_a_drained_node_one_pod_at_a_time(manifests: list[Manifest]) -> None:
    budgets = of_kind(manifests, "PodDisruptionBudget")

    assert set(budgets) - {REST} == {*SERVICES, "nats"}
    assert set(budgets) >= of_kind(manifests, "Deployment").keys()
    assert all(budget["spec"]["maxUnavailable"] == 1 for budget in budgets.values())


def selected(templates: dict[str, Manifest], labels: dict[str, str]) -> list[str]:
    return [name for name, pod in templates.items() if labels.items() <= pod["metadata"]["labels"].items()]


def ports_of(pod: Manifest) -> list[Manifest]:
    return [port for container in pod["spec"]["containers"] for port in container.get("ports", [])]


def test_clients_see_every_pod_behind_a_name(manifests: list[Manifest]) -> None:
    services = of_kind(manifests, "Service")

    assert all(services[name]["spec"]["clusterIP"] == "None" for name in (*SERVICES, "nats"))


def edges(manifests: list[Manifest], direction: str, peer: str) -> set[tuple[str, str, int]]:
    """(from, to, port) between pods, as one side of the policies has them."""
    found = set()
    for policy in of_kind(manifests, "NetworkPolicy").values():
        own = policy["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for rule in policy["spec"].get(direction, []):
            for other in names_of(rule.get(peer, [])):
                ends = (own, other) if direction == "egress" else (other, own)
                found |= {(*ends, port["port"]) for port in rule["ports"]}
    return found


def names_of(peers: list[Manifest]) -> Iterator[str]:
    for peer in peers:
        for expression in peer.get("podSelector", {}).get("matchExpressions", []):
            yield from expression["values"]


def test_nothing_speaks_unless_a_policy_says_so(manifests: list[Manifest]) -> None:
    deny = of_kind(manifests, "NetworkPolicy")["default-deny"]["spec"]

    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_edge_is_allowed_at_both_of_its_ends(manifests: list[Manifest]) -> None:
    out, into = edges(manifests, "egress", "to"), edges(manifests, "ingress", "from")

    assert {(who, whom, port) for who, whom, port in out if (whom, port) != ("gateway", 7443)} == into  # open to all


def test_the_edges_are_those_of_the_contracts(dev: list[Manifest]) -> None:
    called = {(caller, callee, 9443) for file, callee in CONTRACTS for caller in callers(file) if caller != callee}
    broker = {(service, "nats", 4222) for service in SERVICES}

    others = {("artifacts", "s3", 8333), (REST, "gateway", 7443)}
    assert edges(dev, "egress", "to") == called | broker | others


def callers(file: Any) -> set[str]:
    """Services that the access rules of a file's methods let in."""
    services = Default().FindFileByName(file.DESCRIPTOR.name).services_by_name.values()
    options = [method.GetOptions() for service in services for method in service.methods]
    names = {
        access_pb2.Rule.Caller.Name(caller) for one in options for caller in one.Extensions[access_pb2.rule].callers
    }
    if "SERVICE" in names:
        return set(SERVICES)
    return {name.lower() for name in names} & set(SERVICES)


def test_only_the_public_doors_are_open_to_everybody(dev: list[Manifest]) -> None:
    open_to_all = [
        (policy["metadata"]["name"], [port["port"] for port in rule["ports"]])
        for policy in of_kind(dev, "NetworkPolicy").values()
        for rule in policy["spec"].get("ingress", [])
        if not rule.get("from")
    ]

    assert sorted(open_to_all) == [("public-door", [7443]), (REST, [7480])]


def outside(manifests: list[Manifest]) -> list[tuple[Network, list[Network]]]:
    """Ranges that the gateway may reach, each with what is left out of it."""
    [rule] = of_kind(manifests, "NetworkPolicy")["gateway-outside"]["spec"]["egress"]
    assert rule["ports"] == [{"port": 443}]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    return [(ip_network(one["cidr"]), [ip_network(left_out) for left_out in one["except"]]) for one in blocks]


def test_the_gateway_reaches_public_addresses_alone(manifests: list[Manifest]) -> None:
    """The policy lets through only what the gateway itself would call, at each edge of a range and in between."""
    blocks = outside(manifests)
    chance = random.Random(1)
    edges_of = [left_out for _, all_left_out in blocks for left_out in all_left_out]
    tried = [ip_address(int(one[0]) - 1) if int(one[0]) else one[0] for one in edges_of]
    tried += [one[0] for one in edges_of] + [one[-1] for one in edges_of]
    tried += [IPv4Address(chance.getrandbits(32)) for _ in range(20_000)]
    tried += [IPv6Address(chance.getrandbits(128)) for _ in range(20_000)]
    reached = [
        address
        for address in tried
        for block, left_out in blocks
        if address in block and not any(address in one for one in left_out)
    ]

    assert [address for address in reached if not is_public(address)] == []
    assert len(reached) > 15_000


def test_only_the_gateway_reaches_the_outside(manifests: list[Manifest]) -> None:
    policies = of_kind(manifests, "NetworkPolicy").values()
    reaching = {
        policy["metadata"]["name"]
        for policy in policies
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [{"ipBlock": "anywhere"}])
        if "ipBlock" in peer
    }

    assert reaching == {"gateway-outside"}


def test_the_door_for_http_has_no_right_of_its_own(dev: list[Manifest]) -> None:
    """Server TLS without a SPIFFE id; neither the broker's address nor a service's. It is a client like any other."""
    certificate = of_kind(dev, "Certificate")[REST]["spec"]
    environment = environment_of(dev, REST)

    assert "uris" not in certificate
    assert certificate["usages"] == ["digital signature", "server auth"]
    assert {edge for edge in edges(dev, "egress", "to") if edge[0] == REST} == {(REST, "gateway", 7443)}
    assert not [name for name in environment if "NATS" in name or name.endswith("_TOKEN")]
    assert environment["HARMONIA_HTTP_TLS_CERT"]
    [name] = [name for name in of_kind(dev, "Secret") if name.startswith("rest-session")]
    assert len(base64.b64decode(of_kind(dev, "Secret")[name]["data"]["key"])) == 32


def test_leaves_name_their_service_and_live_a_day(dev: list[Manifest]) -> None:
    certificates = of_kind(dev, "Certificate")
    for name in (*SERVICES, "nats"):
        spec = certificates[name]["spec"]
        assert spec["uris"] == [f"spiffe://harmonia.local/svc/{name}"]
        assert f"{name}.harmonia" in spec["dnsNames"]
        assert (spec["duration"], spec["renewBefore"]) == ("24h", "12h")
        assert (spec["privateKey"]["algorithm"], spec["privateKey"]["size"]) == ("ECDSA", 256)
        assert spec["secretName"] == f"{name}-tls"


def test_images_of_an_overlay_are_pinned(dev: list[Manifest]) -> None:
    for pod in pods(dev).values():
        for container in pod["spec"]["containers"]:
            assert re.fullmatch(r"[a-z0-9/.-]+:\d+\.\d+(\.\d+)?", container["image"])


def test_the_accounts_are_those_of_the_table() -> None:
    committed = json.loads((K8S / "base" / "accounts.conf").read_text())

    assert committed == json.loads(json.dumps({"accounts": accounts("harmonia.local")})), "make -C k8s accounts"


def test_a_real_nats_server_takes_the_configuration(dev: list[Manifest], tmp_path: Path) -> None:
    [config] = [found for name, found in of_kind(dev, "ConfigMap").items() if name.startswith("nats-")]
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text.replace("/etc/nats-tls", str(tmp_path)).replace("/data", str(tmp_path)))
    issue_leaf(tmp_path)
    binary = Path(sys.executable).parent / "nats-server"

    environment = {**os.environ, "POD_NAME": "nats-0"}
    checked = subprocess.run(
        [binary, "-t", "-c", tmp_path / "nats.conf"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert checked.returncode == 0, checked.stderr
    assert "is valid" in checked.stderr + checked.stdout


def issue_leaf(folder: Path) -> None:
    from datetime import UTC, datetime

    from harmonia_local.certificates import issue_stale, open_authority

    now = datetime.now(UTC)
    issue_stale(open_authority(folder, now), folder, trust_domain="harmonia.local", now=now, keep_keys=False)
    for source, name in (("nats.pem", "tls.crt"), ("nats.key.pem", "tls.key"), ("ca.pem", "ca.crt")):
        (folder / source).rename(folder / name)
