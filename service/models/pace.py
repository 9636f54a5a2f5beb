"""Keeps long work from taking a whole core beside calls that want it too; knows nothing of the work."""

import time


class Pace:
    """Rests of a piece of work, so that its thread takes a given part of a core's time."""

    def __init__(self, core_share: float = 1.0) -> None:
        """Begin; a share of 1 means no rests."""
        self._rest_per_work = 1 / core_share - 1
        self._worked_until = time.thread_time()

    def rest(self, elsewhere_seconds: float = 0.0) -> None:
        """Sleep for what the work since the last rest demands; call it every tenths of a millisecond.

        `elsewhere_seconds` is work that was done meanwhile in threads of a library.
        """
        if self._rest_per_work:
            worked = time.thread_time() - self._worked_until + elsewhere_seconds
            time.sleep(worked * self._rest_per_work)
            self._worked_until = time.thread_time()


AT_FULL_SPEED = Pace()
