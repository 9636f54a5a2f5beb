"""Run the drills on the cluster that KUBECONFIG names and print a table: `make e2e`.

It needs cert-manager, the Prometheus operator, metrics for the HPA, enforced NetworkPolicy, the kinds of
Gateway API, and the images of tests/e2e/images/build.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from tests.e2e import certificates, dev, disturbances, monitoring, network, prod, rollouts
from tests.e2e.kubectl import Failed, settled
from tests.e2e.observed import Observed, Outcome

# In this order: some leave behind what the next ones need.
DRILLS: list[tuple[str, Callable[[Observed], object]]] = [
    *network.DRILLS,
    *rollouts.DRILLS,
    *disturbances.DRILLS,
    *certificates.DRILLS,
    *monitoring.DRILLS,
]


# Drills that cost calls by their nature: so many as the load client has threads at work.
KILLS = {"pod deleted without grace": 3}
AWAY = {"PostgreSQL's pod killed", "database away, its alert fires"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make e2e", description=__doc__)
    parser.add_argument("--skip-dev", action="store_true", help="leave out the laptop overlay")
    parser.add_argument("--only", metavar="WORD", help="run the drills whose name has this word in it")
    parser.add_argument("--keep", action="store_true", help="leave everything in the cluster")
    arguments = parser.parse_args()
    chosen = [each for each in DRILLS if (arguments.only or "") in each[0]]
    if not chosen:
        parser.error(
            f"--only {arguments.only}: no drill has that in its name; they are: {', '.join(dict(DRILLS))}"
        )
    began = time.monotonic()
    outcomes: list[Outcome] = []
    if not arguments.skip_dev:
        outcomes.append(_run(Outcome("dev: the README's two commands, grpcurl"), dev.drill))
    outcomes.append(_run(Outcome("prod: set up; a bucket that is empty at first"), prod.set_up))
    if not outcomes[-1].error:
        observed = Observed()
        outcomes += [_observe(observed, name, drill) for name, drill in chosen]
        print(f"{observed.writes['acknowledged']} writes were acknowledged", flush=True)
        observed.stop()
        if not arguments.keep and not any(each.complaint for each in outcomes):
            outcomes.append(_run(Outcome("prod: kubectl delete leaves nothing"), prod.remove))
    _print_table(outcomes, time.monotonic() - began)
    for each in outcomes:
        if each.complaint:
            print(f"{each.drill}: {each.complaint}", file=sys.stderr)
    return 1 if any(each.complaint for each in outcomes) else 0


def _observe(observed: Observed, name: str, drill: Callable[[Observed], object]) -> Outcome:
    """Run a drill to the end of the last pod that goes away, and see what clients saw of it."""
    outcome = Outcome(name, most_failed=KILLS.get(name, 0), tries_again=name in KILLS or name in AWAY)

    def whole() -> None:
        mark = observed.mark()
        try:
            drill(observed)
            settled()
        finally:
            observed.settle()
            observed.since(mark, outcome)

    _run(outcome, whole)
    print(f"    {outcome.seconds:.0f} s, {outcome.calls} calls, failed {dict(outcome.failures)}", flush=True)
    return outcome


def _run(outcome: Outcome, drill: Callable[[], object]) -> Outcome:
    print(f"{time.strftime('%H:%M:%S')} {outcome.drill}", flush=True)
    began = time.monotonic()
    try:
        drill()
    except Exception as error:  # noqa: BLE001  # the table comes in any case
        outcome.error = str(error) if isinstance(error, Failed) else traceback.format_exc()
        print(f"    FAILED: {outcome.error}", flush=True)
    outcome.seconds = time.monotonic() - began
    return outcome


def _print_table(outcomes: list[Outcome], seconds: float) -> None:
    table = Table("drill", "seconds", "calls", "failed", "p99 ms", "writes tried again", "result")
    for each in outcomes:
        result = "failed" if each.complaint else "ok"
        calls = [f"{each.calls:,}", str(each.failed), f"{each.p99:.0f}", str(each.retries)]
        table.add_row(each.drill, f"{each.seconds:.0f}", *(calls if each.calls else [""] * 4), result)
    Console(width=130).print(table)
    print(f"{seconds / 60:.1f} minutes")


sys.exit(main())
