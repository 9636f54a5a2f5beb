"""A real Prometheus with the rules of the PrometheusRule, on targets of a test's own."""

import json
import math
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import yaml

from tests.observability.rules import write_rules
from tests.tools import require_tool

_STOP_SECONDS = 30


class Prometheus:
    """Prometheus while entered, scraping and evaluating every second."""

    def __init__(self, directory: Path, ports: Sequence[int]) -> None:
        """Prepare to scrape these ports of this machine."""
        self._directory = directory
        directory.mkdir()
        targets = [f"127.0.0.1:{port}" for port in ports]
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(write_rules(directory / "rules.yaml"))],
            "scrape_configs": [{"job_name": "recommendations", "static_configs": [{"targets": targets}]}],
        }
        (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as chooser:
            self._port = chooser.getsockname()[1]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    require_tool("prometheus"),
                    f"--config.file={self._directory / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait(_STOP_SECONDS)

    def query(self, expression: str) -> list[float]:
        """Return what a query finds, without what is not a number; nothing while it is not up yet."""
        found = self._get("query", query=expression)["result"]
        return [value for each in found if not math.isnan(value := float(each["value"][1]))]

    def alerts(self) -> set[str]:
        """Return the names of the alerts that fire, or will once they have lasted for a while."""
        return {each["labels"]["alertname"] for each in self._get("alerts").get("alerts", [])}

    def rules(self) -> set[str]:
        """Return the names of the rules that are loaded."""
        return {rule["name"] for group in self._get("rules").get("groups", []) for rule in group["rules"]}

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # not up yet
                return {"result": []}
            raise AssertionError(f"{parameters}: {error.read().decode()}") from error
        except OSError:
            return {"result": []}
