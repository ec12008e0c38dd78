"""Reading an exposition as Prometheus would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Scrape", "scrape"]


class Scrape:
    """The samples of one answer; a sample is asked for by its name and some of its labels."""

    def __init__(self, text: str) -> None:
        self.samples = [
            (sample.name, dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the series that have these labels; 0 if there is none."""
        return sum(value for _, value in self._matching(name, labels))

    def has(self, name: str) -> bool:
        return any(found == name for found, _, _ in self.samples)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Label value -> sum, without what is zero."""
        found: dict[str, float] = {}
        for labels, value in self._matching(name, {}):
            found[labels[label]] = found.get(labels[label], 0) + value
        return {key: value for key, value in found.items() if value}

    def _matching(
        self, name: str, labels: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, str], float]]:
        for found, its, value in self.samples:
            if found == name and labels.items() <= its.items():
                yield its, value


async def scrape(url: str, headers: Mapping[str, str] | None = None) -> Scrape:
    """Ask, expect 200, read."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/metrics", headers=headers) as response,
    ):
        text = await response.text()
        assert response.status == 200, text
        assert response.content_type == "text/plain"
        return Scrape(text)
