"""One circuit a PSP: after several failures in a row it rests, then it is tried again (A11).

A failure is an outcome that says something about the PSP or our standing with it, never one
about a recipient. The experience is this process's own; nothing is shared.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.clock import Clock

__all__ = ["Circuits"]

_FAILURES = 5
_REST_S = 30.0


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    rests_until: float = float("-inf")


class Circuits:
    """The circuits of all PSPs in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}

    def worked(self, psp: str) -> None:
        """The PSP answered as it should; a rest that has begun goes on to its end."""
        if psp in self._circuits:
            self._circuits[psp].failures = 0

    def failed(self, psp: str) -> bool:
        """The PSP did not; ``True`` if it rests from now on."""
        circuit = self._circuits.setdefault(psp, _Circuit())
        circuit.failures += 1
        if circuit.failures >= _FAILURES:
            return self.rest(psp)
        return False

    def rest(self, psp: str) -> bool:
        """Let it rest at once (a refusal that is our fault); ``True`` if it was not resting."""
        circuit = self._circuits.setdefault(psp, _Circuit())
        fresh = circuit.rests_until <= self._clock.monotonic()
        circuit.rests_until = self._clock.monotonic() + _REST_S
        circuit.failures = _FAILURES - 1  # one more failure after the rest, and it rests again
        return fresh

    def resting(self) -> frozenset[str]:
        """The PSPs that are not to be used for new orders now."""
        now = self._clock.monotonic()
        return frozenset(psp for psp, one in self._circuits.items() if one.rests_until > now)
