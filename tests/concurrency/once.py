"""One thing that everybody brings at once: an offer, a webhook, an event, a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.concurrency.node import Node
from tests.concurrency.scene import Actor, Scene
from tidegate.db.committer import Unit
from tidegate.errors import AlreadyExists
from tidegate.payments.keys import Asked
from tidegate.payments.prompts import KeepEvent
from tidegate.ports.bank import WebhookEvent
from tidegate.ports.cards import CardEvent, Subject
from tidegate.wire.canonical import parse_object
from tidegate.wire.inbound import parse_live_offer

__all__ = ["open_scene"]


async def open_scene(url: str, given: Mapping[str, Any]) -> Scene:
    return _Once(await Node.open(given["env"]), given["what"])


class _Once:
    def __init__(self, node: Node, what: str) -> None:
        self._node = node
        self._what = what

    async def act(self, actor: Actor) -> Any:
        """What it was told of the thing."""
        match self._what:
            case "offer":
                return await self._offer(actor)
            case "webhook":
                return await self._webhook()
            case "event":
                return await self._event()
            case _:
                return await self._key(actor)

    async def _offer(self, actor: Actor) -> list[Any]:
        """The same order, with an amount of one's own."""
        amount = 1_000 + actor.number
        body = (
            f'{{"orderId":"order-1","amount":"{amount}","currency":"NGN","institution":"GTBINGLA"}}'
        )
        offer = parse_live_offer(parse_object(body.encode()))
        received = await self._node.deps.receive(offer, body, self._node.app.clock.now_ms())
        return [received.meaning, str(amount)]

    async def _webhook(self) -> bool:
        """The bank's, about a transfer that we do not know (yet)."""
        event = WebhookEvent("transfer.successful", "event-1", reference="tg-not-known-yet")
        return await self._node.deps.keep("lenco", event, b"{}", self._node.app.clock.now_ms())

    async def _event(self) -> bool:
        """The card processor's."""
        app = self._node.app
        keep = KeepEvent(app.database, app.committer, app.clock, app.randomness)
        return await keep("stripe", CardEvent("evt_1", "some.event", 0, Subject.PAYMENT), b"{}")

    async def _key(self, actor: Actor) -> str | None:
        """An idempotency key, for a subject of one's own."""
        subject = f"pay_{actor.number}"
        asked = Asked("usr_1", "create", "key-1", "print")
        taken = asked.taken_for(subject, self._node.app.clock.now_ms())
        try:
            await self._node.app.committer.commit(Unit([taken]))
        except AlreadyExists:
            return None
        return subject

    async def close(self) -> None:
        await self._node.close()
