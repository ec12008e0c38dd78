"""One circuit a PSP: after several failures in a row it rests, then it is tried again (A11).

A failure is an outcome that says something about the PSP or our standing with it, never one
about a recipient. The experience is this process's own; nothing is shared.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.clock import Clock

__all__ = ["Circuits"]

_FAILURES = 5


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until: float = float("-inf")  # by failures: the next success closes it
    rests_until: float = float("-inf")  # by a refusal of ours: only time ends it


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
            self._circuits[psp].open_until = float("-inf")

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
        fresh = circuit.rests_until <= self._clock.monotonic()
        circuit.rests_until = self._clock.monotonic() + self._rest_s
        return fresh

    def resting(self) -> frozenset[str]:
        """The PSPs that are not to be used for new orders now."""
        now = self._clock.monotonic()
        return frozenset(
            psp for psp, one in self._circuits.items() if max(one.open_until, one.rests_until) > now
        )
