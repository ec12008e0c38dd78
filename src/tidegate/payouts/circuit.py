"""One circuit a PSP: after several failures in a row it rests, then it is tried again (A11).

A failure is an outcome that says something about the PSP or our standing with it, never one
about a recipient. The experience is this process's own; nothing is shared.

A refusal that is our fault lets a PSP rest at once. Every order that is sent into such a refusal
is cancelled at the aggregator, so after the rest one transfer goes first and the others wait for
its answer; and each refusal that follows doubles the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.clock import Clock

__all__ = ["Circuits"]

_FAILURES = 5
_LONGEST_REST_S = 900.0
_NEVER = float("-inf")


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until: float = _NEVER  # by failures: the next success closes it
    refusals: int = 0  # of ours, in a row: until it takes a transfer, one goes at a time
    rests_until: float = _NEVER  # by a refusal of ours: only time ends it
    tried_until: float = _NEVER  # one transfer tries it; without a verdict only time ends it


class Circuits:
    """The circuits of all PSPs in this process."""

    def __init__(self, clock: Clock, rest_s: float = 30.0) -> None:
        self._clock = clock
        self._rest_s = rest_s
        self._circuits: dict[str, _Circuit] = {}

    def worked(self, psp: str) -> None:
        """The PSP answered as it should."""
        if psp in self._circuits:
            self._circuits[psp].failures = 0
            self._circuits[psp].open_until = _NEVER

    def took(self, psp: str) -> None:
        """The PSP took a transfer: whatever it refused us for is over.

        Not by a call that it was asked for before the rest: its answer is older than the refusal.
        """
        self.worked(psp)
        circuit = self._circuits.get(psp)
        if circuit is not None and circuit.rests_until <= self._clock.monotonic():
            circuit.refusals, circuit.tried_until = 0, _NEVER

    def failed(self, psp: str) -> bool:
        """The PSP did not; ``True`` if its circuit opens now."""
        circuit = self._circuits.setdefault(psp, _Circuit())
        circuit.failures += 1
        if circuit.failures < _FAILURES:
            return False
        fresh = circuit.open_until <= self._clock.monotonic()
        circuit.open_until = self._clock.monotonic() + self._rest_s
        circuit.failures = _FAILURES - 1  # one more failure after the rest, and it opens again
        return fresh

    def rest(self, psp: str) -> bool:
        """Let it rest (a refusal that is our fault); ``True`` if it was not resting for one.

        Look-ups go on meanwhile, and their success proves nothing about the next transfer.
        """
        circuit = self._circuits.setdefault(psp, _Circuit())
        now = self._clock.monotonic()
        fresh = circuit.rests_until <= now
        if fresh:  # of the calls that were under way together, the first counts
            circuit.refusals += 1
        doubled = self._rest_s * 2.0 ** min(circuit.refusals - 1, 20)
        circuit.rests_until = now + max(self._rest_s, min(doubled, _LONGEST_REST_S))
        circuit.tried_until = _NEVER
        return fresh

    def admits(self, psp: str, within_s: float) -> bool:
        """May a transfer go now? Asked right before it is sent.

        Of those that come after a rest for a refusal of ours the first may, and is given
        ``within_s`` for its answer.
        """
        circuit = self._circuits.get(psp)
        if circuit is None or not circuit.refusals:
            return True
        now = self._clock.monotonic()
        if max(circuit.rests_until, circuit.tried_until) > now:
            return False
        circuit.tried_until = now + within_s
        return True

    def tried(self, psp: str) -> None:
        """A transfer's call is over, whatever came of it: the next may try, if one must."""
        if psp in self._circuits:
            self._circuits[psp].tried_until = _NEVER

    def resting(self) -> frozenset[str]:
        """The PSPs that are not to be used for new orders now."""
        now = self._clock.monotonic()
        return frozenset(
            psp
            for psp, one in self._circuits.items()
            if max(one.open_until, one.rests_until, one.tried_until) > now
        )
