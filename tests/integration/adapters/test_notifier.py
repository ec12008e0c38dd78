"""What a receiver gets, and what is read of its answer."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.adapters.notifier_play import Names
from tests.integration.adapters.raw import (
    Reader,
    Reply,
    Scripted,
    Writer,
    read_request,
    scripted_server,
    tcp_server,
)
from tidegate.adapters.notifier import ANSWER_BYTES_MAX, Guard, HttpNotifier, guarded_connector
from tidegate.clock import SystemClock

BODY = b'{"type":"payment.failed"}'
HEADERS = {"webhook-id": "evt_1", "Content-Type": "application/json"}


@pytest.fixture
async def notifier() -> AsyncIterator[HttpNotifier]:
    made = HttpNotifier(SystemClock(), debug=True, time_s=0.5)
    yield made
    await made.close()


@pytest.fixture
async def shop() -> AsyncIterator[Scripted]:
    async with scripted_server() as script:
        yield script


async def test_the_very_bytes_are_posted_with_the_headers(
    notifier: HttpNotifier, shop: Scripted
) -> None:
    told = await notifier.tell(f"{shop.origin}/hook?a=%20b", HEADERS, BODY)
    (heard,) = shop.heard
    assert (heard.method, heard.path, heard.query) == ("POST", "/hook", "a=%20b")
    assert heard.body == BODY
    assert heard.headers["webhook-id"] == "evt_1"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["user-agent"].startswith("tidegate/")
    assert (told.status, told.error, told.answer, told.delivered) == (200, None, "{}", True)
    assert told.took_ms >= 0


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_whatever_is_not_2xx_is_a_failure(
    notifier: HttpNotifier, shop: Scripted, status: int
) -> None:
    """A redirect is not followed, wherever it leads."""
    for target in ("/elsewhere", "http://169.254.169.254/latest/", "https://10.0.0.1/"):
        shop.script(Reply(status, headers={"Location": target}))
        told = await notifier.tell(shop.origin, HEADERS, BODY)
        assert (told.status, told.delivered) == (status, False)
        assert len(shop.heard) == 1


async def test_of_a_long_answer_only_the_beginning_is_read(
    notifier: HttpNotifier, shop: Scripted
) -> None:
    shop.script(Reply(200, b"a" * ANSWER_BYTES_MAX), Reply(200, b"b" * 5_000_000), Reply(200))
    assert (await notifier.tell(shop.origin, HEADERS, BODY)).answer == "a" * ANSWER_BYTES_MAX
    assert (await notifier.tell(shop.origin, HEADERS, BODY)).answer == "b" * ANSWER_BYTES_MAX
    assert (await notifier.tell(shop.origin, HEADERS, BODY)).answer == "{}"


async def test_a_packed_answer_is_not_unpacked(notifier: HttpNotifier, shop: Scripted) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    shop.script(Reply(200, bomb, {"Content-Encoding": "gzip"}))
    told = await notifier.tell(shop.origin, HEADERS, BODY)
    assert told.delivered
    assert len(told.answer) <= ANSWER_BYTES_MAX


async def test_an_answer_that_cannot_be_stored_is_made_storable(
    notifier: HttpNotifier, shop: Scripted
) -> None:
    shop.script(Reply(500, b"\0\xff\xfe?"))
    assert (await notifier.tell(shop.origin, HEADERS, BODY)).answer == "\ufffd\ufffd\ufffd?"


async def test_a_status_counts_even_when_the_body_never_ends(notifier: HttpNotifier) -> None:
    async def behave(reader: Reader, writer: Writer) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nthank")
        await writer.drain()
        await asyncio.sleep(2)

    async with tcp_server(behave) as origin:
        told = await notifier.tell(origin, HEADERS, BODY)
    assert (told.status, told.answer, told.error) == (202, "thank", None)


async def test_no_answer_in_time_is_unknown(notifier: HttpNotifier, shop: Scripted) -> None:
    shop.script(Reply(200, delay_s=1.5))
    told = await notifier.tell(shop.origin, HEADERS, BODY)
    assert (told.status, told.error) == (None, "unknown: no answer in time")
    assert 400 <= told.took_ms < 1500


async def test_a_lost_connection_is_unknown_and_the_message_is_sent_once(
    notifier: HttpNotifier, shop: Scripted
) -> None:
    """Also over a connection that was used before, where clients like to repeat."""
    assert (await notifier.tell(shop.origin, HEADERS, BODY)).delivered
    shop.script(Reply(drop=True))
    told = await notifier.tell(shop.origin, HEADERS, BODY)
    assert told.status is None
    assert (told.error or "").startswith("unknown: ")
    assert len(shop.heard) == 1


async def test_nobody_there_is_not_reached(notifier: HttpNotifier, shop: Scripted) -> None:
    async with scripted_server() as gone:
        origin = gone.origin
    told = await notifier.tell(origin, HEADERS, BODY)
    assert (told.error or "").startswith("not_reached: ")


async def test_no_cookie_is_kept_and_no_proxy_of_the_environment_used(
    notifier: HttpNotifier, shop: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.delenv("no_proxy", raising=False)
    shop.script(Reply(200, headers={"Set-Cookie": "a=b"}), Reply(200))
    for _ in range(2):
        assert (await notifier.tell(shop.origin, HEADERS, BODY)).delivered
    assert all("cookie" not in heard.headers for heard in shop.heard)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), ("0", 0), ("soon", None), ("-1", None), ("999999999", 86_400), (None, None)],
)
async def test_retry_after_is_read(
    notifier: HttpNotifier, shop: Scripted, header: str | None, seconds: int | None
) -> None:
    shop.script(Reply(503, headers={} if header is None else {"Retry-After": header}))
    assert (await notifier.tell(shop.origin, HEADERS, BODY)).retry_after_s == seconds


async def test_retry_after_may_be_a_date(notifier: HttpNotifier, shop: Scripted) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    shop.script(Reply(503, headers={"Retry-After": then.strftime("%a, %d %b %Y %H:%M:%S GMT")}))
    told = await notifier.tell(shop.origin, HEADERS, BODY)
    assert told.retry_after_s == pytest.approx(90, abs=5)


def _certificate(folder: Path, name: str) -> Path:
    """A file with a key and a certificate for ``name`` that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.mark.parametrize(
    ("name", "trusted", "delivered"),
    [
        ("shop.example.com", True, True),
        ("shop.example.com", False, False),
        ("other.example.com", True, False),
    ],
)
async def test_the_certificate_must_be_trusted_and_the_names(
    tmp_path: Path, name: str, trusted: bool, delivered: bool
) -> None:
    file = _certificate(tmp_path, name)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(file)
    theirs = ssl.create_default_context()
    if trusted:
        theirs.load_verify_locations(file)
    heard = []

    async def handle(request: web.BaseRequest) -> web.Response:
        heard.append(await request.read())
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ours).start()
    names = Names({"shop.example.com": ["127.0.0.1"]})

    def connector(guard: Guard) -> aiohttp.BaseConnector:
        return guarded_connector(guard, lambda: names, theirs)

    notifier = HttpNotifier(SystemClock(), debug=True, connector_factory=connector)
    try:
        url = f"https://shop.example.com:{runner.addresses[0][1]}/"
        told = await notifier.tell(url, HEADERS, BODY)
    finally:
        await notifier.close()
        await runner.cleanup()
    assert told.delivered is delivered
    assert len(heard) == delivered
    if not delivered:
        assert (told.error or "").startswith("not_reached: ClientConnectorCertificateError")
