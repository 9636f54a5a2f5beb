"""grpc.health.v1 over a real server."""

import threading
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from interceptors.chain import Chain, Interceptor
from service.operations.conditions import Conditions
from service.operations.health import SERVICES, HealthService
from tests.operations.conftest import wait_until
from tests.operations.deaf_client import open_deaf_watch

NAMES = ("catalogue", "model", "serving", "not_draining")
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class PassThrough(Interceptor):
    """A layer as the service's own chain has them."""

    def wrap(self, method, proceed):
        def stream(call, request):
            yield from proceed(call, request)

        return stream if method.response_streaming else proceed


@pytest.fixture
def conditions() -> Conditions:
    return Conditions(NAMES, registry=CollectorRegistry())


@pytest.fixture(params=["bare", "in a chain"])
def port(request, conditions, serve):
    with HealthService(conditions) as health:
        interceptors = [Chain([PassThrough()])] if request.param == "in a chain" else []

        def register(server):
            health.add_to(server)
            handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Echo", {"Say": handler}),))

        yield serve(register, interceptors)


@pytest.fixture
def stub(port, connect):
    return health_pb2_grpc.HealthStub(connect(port))


def check(stub, service: str = "") -> int:
    return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status


def set_all(conditions) -> None:
    for name in NAMES:
        conditions.set(name, True)


@pytest.mark.parametrize("service", SERVICES)
def test_not_serving_before_anything_is_set(stub, service):
    assert check(stub, service) == NOT_SERVING


@pytest.mark.parametrize("service", SERVICES)
def test_serving_once_all_conditions_hold(stub, conditions, service):
    set_all(conditions)
    assert check(stub, service) == SERVING


@pytest.mark.parametrize("missing", NAMES)
def test_not_serving_while_one_condition_is_missing(stub, conditions, missing):
    for name in NAMES:
        conditions.set(name, name != missing, "" if name != missing else "lost")
    assert check(stub) == NOT_SERVING
    assert not conditions.ready
    described = conditions.describe()
    assert described["ready"] is False
    assert described["conditions"][missing] == {"value": False, "reason": "lost"}


def test_a_condition_that_comes_back_serves_again(stub, conditions):
    set_all(conditions)
    conditions.set("model", False, "checksum")
    assert check(stub) == NOT_SERVING
    conditions.set("model", True)
    assert check(stub) == SERVING


def test_never_serving_again_once_draining(stub, conditions):
    set_all(conditions)
    conditions.set("not_draining", False, "SIGTERM")
    set_all(conditions)
    assert check(stub) == NOT_SERVING
    assert conditions.describe()["conditions"]["not_draining"] == {"value": False, "reason": "SIGTERM"}


def test_draining_before_start_up_is_over_holds_too(stub, conditions):
    conditions.set("not_draining", False, "SIGTERM")
    set_all(conditions)
    assert check(stub) == NOT_SERVING


def test_unknown_condition_is_refused(conditions):
    with pytest.raises(ValueError, match="'modle' is not one of catalogue, model"):
        conditions.set("modle", True)


def test_check_of_an_unknown_service_is_not_found(stub):
    with pytest.raises(grpc.RpcError) as error:
        check(stub, "nobody")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_list_names_every_service(stub, conditions):
    set_all(conditions)
    statuses = stub.List(health_pb2.HealthListRequest(), timeout=10).statuses
    assert {name: one.status for name, one in statuses.items()} == dict.fromkeys(SERVICES, SERVING)


def test_watch_sees_the_transitions(stub, conditions):
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
    assert next(watch).status == NOT_SERVING
    set_all(conditions)
    assert next(watch).status == SERVING
    conditions.set("not_draining", False)
    assert next(watch).status == NOT_SERVING
    watch.cancel()


def test_watch_of_an_unknown_service_stays_open(stub, conditions):
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"), timeout=30)
    assert next(watch).status == SERVICE_UNKNOWN
    set_all(conditions)
    assert watch.is_active()
    watch.cancel()


def test_sixty_watches_hold_up_nothing_and_all_learn(port, stub, conditions, connect):
    watches = [stub.Watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(60)]
    for watch in watches:
        assert next(watch).status == NOT_SERVING
    say = connect(port).unary_unary("/Echo/Say")
    assert say(b"hello", timeout=10) == b"hello"
    set_all(conditions)
    for watch in watches:
        assert next(watch).status == SERVING
    assert check(stub) == SERVING
    for watch in watches:
        watch.cancel()


def test_a_watch_that_reads_nothing_stops_neither_checks_nor_changes(port, stub, conditions):
    with ExitStack() as deaf:
        for _ in range(5):
            deaf.enter_context(open_deaf_watch(port))
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == NOT_SERVING
        setter = threading.Thread(target=set_all, args=(conditions,), daemon=True)
        setter.start()
        setter.join(10)
        assert not setter.is_alive()
        assert check(stub) == SERVING
        assert next(watch).status == SERVING
        watch.cancel()


def test_closed_watches_are_forgotten(conditions, serve, connect):
    with HealthService(conditions, max_watches=1) as health:
        stub = health_pb2_grpc.HealthStub(connect(serve(health.add_to)))
        first = stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
        next(first)
        with pytest.raises(grpc.RpcError) as refused:
            next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        wait_until(lambda: not health._watchers)
        assert next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)).status == NOT_SERVING


def test_ended_watches_do_not_hold_up_the_stop(conditions, serve, connect):
    with HealthService(conditions) as health:
        servers = []
        port = serve(lambda server: (servers.append(server), health.add_to(server)))
        watch = health_pb2_grpc.HealthStub(connect(port)).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == NOT_SERVING
        health.end_watches()
        stopped = servers[0].stop(grace=60)
        assert list(watch) == []
        assert watch.code() is grpc.StatusCode.OK
        assert stopped.wait(20)


def test_two_servers_in_one_process_share_nothing(serve, connect):
    both = [Conditions(NAMES, registry=CollectorRegistry()) for _ in range(2)]
    set_all(both[0])
    with HealthService(both[0]) as first:
        with HealthService(both[1]) as second:
            serve(second.add_to)
        stub = health_pb2_grpc.HealthStub(connect(serve(first.add_to)))
        assert next(stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)).status == SERVING


def test_conditions_are_metrics(conditions):
    registry = CollectorRegistry()
    conditions = Conditions(["model"], registry=registry)
    assert registry.get_sample_value("recommendations_condition", {"condition": "model"}) == 0
    conditions.set("model", True)
    assert registry.get_sample_value("recommendations_condition", {"condition": "model"}) == 1
