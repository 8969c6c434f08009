"""Runs named checks one after another and reports them in the form that `cargo xtask` reads."""

import asyncio
import sys

LIMIT_SECONDS = 60


class Checks:
    def __init__(self):
        self.ok = self.failed = 0

    async def check(self, name, body):
        try:
            await asyncio.wait_for(body, LIMIT_SECONDS)
            self.ok += 1
            print(f"ok {name}", flush=True)
        except Exception as error:
            self.failed += 1
            print(f"not ok {name}: {type(error).__name__}: {error}", flush=True)

    def finish(self):
        """Prints the totals and ends the process."""
        print(f"checks: {self.ok} ok, {self.failed} failed")
        sys.exit(0 if self.ok and not self.failed else 1)


def expect(what, seen, expected):
    if type(seen) is not type(expected) or seen != expected:
        raise AssertionError(f"{what}: {seen!r:.80} instead of {expected!r:.80}")
