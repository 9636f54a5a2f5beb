"""A service that is started while its database is down."""

import json
import signal

from tests.world import wait_until


def test_it_says_so_and_becomes_ready_without_a_restart(scene):
    scene.server.stop()
    service = scene.start("service")
    wait_until(lambda: "reached" in str(service.conditions().get("database", {}).get("reason")))
    code, page = service.get("/readyz")
    assert code == 503
    conditions = json.loads(page)["conditions"]
    assert not conditions["catalogue"]["value"]
    assert not conditions["serving"]["value"]
    assert service.get("/livez")[0] == 200
    (said,) = [json.loads(line) for line in service.stderr.splitlines() if "cannot be reached" in line]
    assert said["level"] == "warning"
    assert scene.database_name in said["msg"]
    scene.server.start()
    service.wait_ready()
    assert service.process.poll() is None
    assert service.conditions()["database"]["value"] is True


def test_it_can_be_stopped_while_it_waits(scene):
    scene.server.stop()
    service = scene.start("service")
    wait_until(lambda: "reached" in str(service.conditions().get("database", {}).get("reason")))
    service.signal(signal.SIGTERM)
    assert service.wait_exit() == 0
    assert "Traceback" not in service.stderr
