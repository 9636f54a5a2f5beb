"""Run the drills on the cluster that KUBECONFIG names and print a table: `make e2e`.

It needs cert-manager, the Prometheus operator, metrics for the HPA, enforced NetworkPolicy, the kinds of
Gateway API, and the images of tests/e2e/images/build.
"""

import argparse
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.e2e import certificates, dev, disturbances, monitoring, network, prod, rollouts
from tests.e2e.kubectl import Failed
from tests.e2e.observed import Observed, Outcome

# In this order: some leave behind what the next ones need.
DRILLS: list[tuple[str, Callable[[Observed], object]]] = [
    *network.DRILLS,
    *rollouts.DRILLS,
    *disturbances.DRILLS,
    *certificates.DRILLS,
    *monitoring.DRILLS,
]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make e2e", description=__doc__)
    parser.add_argument("--skip-dev", action="store_true", help="leave out the laptop overlay")
    parser.add_argument("--only", metavar="WORD", help="run the drills whose name has this word in it")
    parser.add_argument("--keep", action="store_true", help="leave everything in the cluster")
    arguments = parser.parse_args()
    began = time.monotonic()
    outcomes: list[Outcome] = []
    if not arguments.skip_dev:
        outcomes.append(_run(Outcome("dev: the README's two commands, grpcurl"), dev.drill))
    setup = _run(Outcome("prod: set up; a bucket that is empty at first"), prod.set_up)
    outcomes.append(setup)
    if not setup.error:
        observed = Observed()
        for name, drill in DRILLS:
            if arguments.only and arguments.only not in name:
                continue
            outcome = Outcome(name, allowed="without grace" in name)
            start = time.time()
            _run(outcome, lambda drill=drill: drill(observed))
            try:
                observed.between(outcome, start, observed.settle())
            except Failed as failed:
                outcome.error = outcome.error or str(failed)
            _tell(outcome)
            outcomes.append(outcome)
        writes = observed.writes
        observed.stop()
        if not arguments.keep:
            outcomes.append(_run(Outcome("prod: kubectl delete leaves nothing"), prod.remove))
        print(
            f"writes: {writes['acknowledged']} acknowledged, tried again {writes['retries']} times",
            flush=True,
        )
    _print_table(outcomes, time.monotonic() - began)
    bad = [each for each in outcomes if each.error or (each.failed and not each.allowed)]
    for each in bad:
        print(f"{each.drill}: {each.error or dict(each.failures)}", file=sys.stderr)
    return 1 if bad else 0


def _run(outcome: Outcome, drill: Callable[[], object]) -> Outcome:
    print(f"{time.strftime('%H:%M:%S')} {outcome.drill}", flush=True)
    began = time.monotonic()
    try:
        drill()
    except Failed as failed:
        outcome.error = str(failed)
        print(f"    FAILED: {failed}", flush=True)
    outcome.seconds = time.monotonic() - began
    return outcome


def _tell(outcome: Outcome) -> None:
    print(f"    {outcome.seconds:.0f} s, {outcome.calls} calls, failed {dict(outcome.failures)}", flush=True)


def _print_table(outcomes: list[Outcome], seconds: float) -> None:
    table = Table("drill", "seconds", "calls", "failed", "p99 ms", "result")
    for each in outcomes:
        result = "failed" if each.error or (each.failed and not each.allowed) else "ok"
        calls = [f"{each.calls:,}", str(each.failed), f"{each.p99:.0f}"] if each.calls else ["", "", ""]
        table.add_row(each.drill, f"{each.seconds:.0f}", *calls, result)
    Console(width=130).print(table)
    print(f"{seconds / 60:.1f} minutes")


sys.exit(main())
