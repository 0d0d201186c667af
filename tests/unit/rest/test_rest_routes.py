"""Every public RPC has a route, and the rules name no other."""

import json
import re
from importlib import import_module
from pathlib import Path

import yaml
from google.protobuf.descriptor import MethodDescriptor

from harmonia_chassis.access import Door, rule_of

ROOT = Path(__file__).parents[3]
CONTRACTS = ROOT / "proto" / "gen" / "python"


def public_methods() -> dict[str, MethodDescriptor]:
    modules = [
        import_module(".".join(path.relative_to(CONTRACTS).with_suffix("").parts))
        for path in CONTRACTS.rglob("*_pb2.py")
    ]
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return {
        method.full_name: method
        for service in services
        for method in service.methods
        if Door.PUBLIC in rule_of(f"/{service.full_name}/{method.name}").doors
    }


def operations() -> list[dict[str, object]]:
    document = json.loads((ROOT / "rest" / "openapi.json").read_text())
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_every_public_rpc_has_a_route() -> None:
    routed = {str(operation["x-rpc"]) for operation in operations() if "x-rpc" in operation}

    assert routed == set(public_methods())


def test_rules_are_for_calls_of_one_message_and_streams_for_the_others() -> None:
    rules = yaml.safe_load((ROOT / "rest" / "http_rules.yaml").read_text())["http"]["rules"]
    ruled = {rule["selector"] for rule in rules}
    single = {
        name for name, method in public_methods().items() if not (method.client_streaming or method.server_streaming)
    }

    assert ruled == single


def test_every_parameter_of_a_path_is_described() -> None:
    document = json.loads((ROOT / "rest" / "openapi.json").read_text())

    for path, operations_of in document["paths"].items():
        for operation in operations_of.values():
            told = operation.get("parameters", [])
            referred = [one.get("$ref", "").rpartition("/")[2] or one["name"] for one in told]
            assert set(re.findall(r"\{(\w+)\}", path)) <= set(referred), path


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in operations()]

    assert len(names) == len(set(names))
