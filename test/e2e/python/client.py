# A control plane in another language: everything it knows of Penstock is the .proto files.
# Usage: client.py ADDRESS STUBS; the gateway may hold anything before, and holds nothing afterwards.
import json
import os
import sys
import threading

import grpc

address, stubs = sys.argv[1:]
sys.path.insert(0, stubs)

from google.rpc import error_details_pb2, status_pb2  # noqa: E402
from health.v1 import health_pb2, health_pb2_grpc  # noqa: E402
from penstock.v1 import gateway_pb2, gateway_pb2_grpc, resources_pb2  # noqa: E402
from reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # noqa: E402

DEADLINE = 20 * float(os.environ.get("PENSTOCK_SLOWNESS", 1))


def load_balancer(name, frontend, members, range_end=1999):
    return resources_pb2.LoadBalancer(
        name=name,
        frontends=[resources_pb2.Frontend(name="fe", address=frontend)],
        backend_pools=[
            resources_pb2.BackendPool(
                name="vms",
                members=[
                    resources_pb2.Member(id=f"vm-{i}", address=f"10.1.{i >> 8}.{(i & 255)}") for i in members
                ],
            )
        ],
        inbound_nat_rules=[
            resources_pb2.InboundNatRule(
                name="ssh",
                frontend="fe",
                protocol=resources_pb2.PROTOCOL_TCP,
                backend_port=22,
                pool=resources_pb2.PoolTargets(
                    backend_pool="vms", frontend_port_range_start=1000, frontend_port_range_end=range_end
                ),
            )
        ],
    )


def apply(gateway, *load_balancers, **options):
    request = gateway_pb2.ApplyRequest(
        changes=gateway_pb2.ChangeSet(put_load_balancers=load_balancers), **options
    )
    return gateway.Apply(request, timeout=DEADLINE)


def refusal(call):
    """The status code, ErrorInfo and BadRequest of a call that must fail."""
    try:
        call()
    except grpc.RpcError as error:
        trailer = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailer["grpc-status-details-bin"])
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in status.details:
            detail.Unpack(info) or detail.Unpack(bad)
        assert status.code == error.code().value[0], status
        assert info.domain == "penstock", info
        return error.code(), info, list(bad.field_violations)
    raise AssertionError("not refused")


def check_health(channel, gateway):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "penstock.v1.Gateway"]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, answer


def check_reflection(channel, gateway):
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services="*"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="penstock.v1.Gateway"),
    ]
    services, file = reflection.ServerReflectionInfo(iter(requests), timeout=DEADLINE)
    names = [service.name for service in services.list_services_response.service]
    assert "penstock.v1.Gateway" in names and "grpc.health.v1.Health" in names, names
    assert len(file.file_descriptor_response.file_descriptor_proto) > 0, file


def check_status(channel, gateway):
    status = gateway.GetStatus(gateway_pb2.GetStatusRequest(), timeout=DEADLINE)
    assert status.version and status.data_plane and status.started.seconds > 0, status


def check_apply(channel, gateway):
    wish = load_balancer("py", "203.0.113.1", range(1, 4))
    before = gateway.GetStatus(gateway_pb2.GetStatusRequest(), timeout=DEADLINE).revision
    dry = apply(gateway, wish, validate_only=True)
    assert dry.revision == before and dry.plan.assigned_total == 3, dry
    assert gateway.GetStatus(gateway_pb2.GetStatusRequest(), timeout=DEADLINE).revision == before
    answer = apply(gateway, wish)
    assert answer.revision > before, answer
    assert [(m.member, m.frontend_port) for m in answer.plan.assigned] == [
        ("vm-1", 1000),
        ("vm-2", 1001),
        ("vm-3", 1002),
    ], answer


def check_refusal(channel, gateway):
    """A range that is too small: the reason, the figures and the field, and nothing changed."""
    small = load_balancer("small", "203.0.113.9", range(1, 4), range_end=1001)
    code, info, violations = refusal(lambda: apply(gateway, small))
    assert code == grpc.StatusCode.FAILED_PRECONDITION, code
    assert info.reason == "PORT_RANGE_EXHAUSTED", info
    assert info.metadata["needed"] == "3" and info.metadata["available"] == "2", info
    assert violations[0].reason == "PORT_RANGE_EXHAUSTED", violations
    assert violations[0].field.startswith("put_load_balancers[0].inbound_nat_rules[0]"), violations
    assert len(mappings(gateway)) == 3


def check_large_refusal(channel, gateway):
    """More violations than the 8 KiB of metadata that this client takes could hold."""
    wrong = load_balancer("py", "203.0.113.1", range(1, 4))
    for member in wrong.backend_pools[0].members:
        member.address = "not an address"
    pool = wrong.backend_pools[0]
    pool.members.extend(resources_pb2.Member(id=f"wrong-{i}", address="“?”" * 20) for i in range(500))
    code, info, violations = refusal(lambda: apply(gateway, wrong))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and info.reason == "ADDRESS_INVALID", info
    assert int(info.metadata["violations_total"]) == 503, info
    assert violations[0].field == "put_load_balancers[0].backend_pools[0].members[0].address", violations
    assert "more" in violations[-1].description, violations


def check_stale(channel, gateway):
    code, info, _ = refusal(lambda: apply(gateway, expected_revision=999_999))
    assert code == grpc.StatusCode.ABORTED and info.reason == "STALE_REVISION", (code, info)


def mappings(gateway, **query):
    chunks = list(gateway.ListPortMappings(gateway_pb2.ListPortMappingsRequest(**query), timeout=DEADLINE))
    assert len({chunk.revision for chunk in chunks}) == 1, "more than one revision"
    return [mapping for chunk in chunks for mapping in chunk.mappings]


def check_mappings(channel, gateway):
    [mapping] = mappings(gateway, load_balancer="py", member="vm-2")
    assert (mapping.frontend_address, mapping.frontend_port) == ("203.0.113.1", 1001), mapping
    assert (mapping.backend_address, mapping.backend_port) == ("10.1.0.2", 22), mapping
    assert mapping.protocol == resources_pb2.PROTOCOL_TCP and mapping.assigned.seconds > 0, mapping
    [reverse] = mappings(gateway, frontend_address="203.0.113.1", frontend_port=1001)
    assert reverse.member == "vm-2", reverse
    code, info, violations = refusal(lambda: mappings(gateway, member_address="nonsense"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and violations[0].field == "member_address", info


def check_watch(channel, gateway):
    """The mappings as they are, then a change made meanwhile, then the end that this side chooses."""
    stream = gateway.Watch(gateway_pb2.WatchRequest(), timeout=DEADLINE)
    snapshot = next(stream)
    assert snapshot.WhichOneof("kind") == "applied", snapshot
    assert snapshot.applied.assigned_total == len(snapshot.applied.assigned) == 3, snapshot
    changer = threading.Thread(
        target=lambda: apply(gateway, load_balancer("py", "203.0.113.1", range(1, 5)))
    )
    changer.start()
    event = next(stream)
    changer.join()
    assert event.revision > snapshot.revision, event
    assert [m.member for m in event.applied.assigned] == ["vm-4"], event
    stream.cancel()


def check_replace_all(channel, gateway):
    """One load balancer in two parts and another, then the same without a commit."""
    first = load_balancer("big", "203.0.113.2", range(1, 101))
    rest = resources_pb2.LoadBalancer(name="big")
    rest.backend_pools.add(name="vms").members.extend(
        load_balancer("", "", range(101, 201)).backend_pools[0].members
    )
    chunks = [
        gateway_pb2.ReplaceAllRequest(load_balancers=[first]),
        gateway_pb2.ReplaceAllRequest(load_balancers=[rest]),
        gateway_pb2.ReplaceAllRequest(load_balancers=[load_balancer("next", "203.0.113.3", [1])]),
    ]
    code, info, _ = refusal(lambda: gateway.ReplaceAll(iter(chunks), timeout=DEADLINE))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and info.reason == "REQUEST_INVALID", info
    assert len(mappings(gateway, load_balancer="py")) == 4
    commit = gateway_pb2.ReplaceAllRequest(commit=gateway_pb2.Commit())
    answer = gateway.ReplaceAll(iter([*chunks, commit]), timeout=DEADLINE)
    assert answer.plan.assigned_total == 201 and answer.plan.released_total == 4, answer
    assert len(mappings(gateway, load_balancer="big")) == 200
    listed = list(gateway.ListLoadBalancers(gateway_pb2.ListLoadBalancersRequest(), timeout=DEADLINE))
    names = {lb.name for chunk in listed for lb in chunk.load_balancers}
    assert names == {"big", "next"}, names


def empty(gateway):
    gateway.ReplaceAll(iter([gateway_pb2.ReplaceAllRequest(commit=gateway_pb2.Commit())]), timeout=DEADLINE)


def main():
    checks = [
        check_health,
        check_reflection,
        check_status,
        check_apply,
        check_refusal,
        check_large_refusal,
        check_stale,
        check_mappings,
        check_watch,
        check_replace_all,
    ]
    with grpc.insecure_channel(address) as channel:
        gateway = gateway_pb2_grpc.GatewayStub(channel)
        empty(gateway)
        for check in checks:
            check(channel, gateway)
        empty(gateway)
    print(json.dumps({"grpc": grpc.__version__, "passed": [check.__name__ for check in checks]}))


main()
