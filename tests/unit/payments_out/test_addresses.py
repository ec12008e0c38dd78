"""Which URLs and addresses are refused as receivers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import ip_addresses

from tidegate.adapters.addresses import refusal, url_refusal

_REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",  # a cloud's metadata
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",  # another's
    "169.254.169.254",  # most clouds'
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",  # another's
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",  # another's
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700::1%1",
    "localhost",
    "",
    "1.1.1",
    "0x7f.0.0.1",
]
_PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", _REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert refusal(address) is not None


@pytest.mark.parametrize("address", _PUBLIC)
def test_a_public_address_is_not(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize("address", _REFUSED)
def test_debug_allows_this_machine_and_nothing_else(address: str) -> None:
    here = {"127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}
    assert (refusal(address, loopback=True) is None) == (address in here)


@given(ip_addresses())
def test_nothing_that_the_standard_library_calls_private_is_taken_for_public(
    address: object,
) -> None:
    taken = refusal(str(address)) is None
    odd = any(
        getattr(address, name, False)
        for name in (
            "is_loopback",
            "is_link_local",
            "is_multicast",
            "is_unspecified",
            "is_site_local",
        )
    )
    assert not (taken and odd)
    if not getattr(address, "ipv4_mapped", None) and not str(address).startswith("64:ff9b"):
        assert not (taken and getattr(address, "is_private", False))


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com/hooks?a=b",
        "https://shop.example.com:443/",
        "https://shop.example.com:8443/hooks",
        "https://SHOP.example.com",
        "https://xn--bcher-kva.example/",
        "https://shop.example.com./hooks",
        "https://1.1.1.1/hooks",
        "https://[2606:4700:4700::1111]/hooks",
    ],
)
def test_an_https_url_on_the_public_internet_can_be_a_receiver(url: str) -> None:
    assert url_refusal(url, debug=False) is None


_NEVER = [
    "",
    "shop.example.com",
    "//shop.example.com/",
    "ftp://shop.example.com/",
    "file:///etc/passwd",
    "http://shop.example.com/",
    "https:///hooks",
    "https://user@shop.example.com/",
    "https://user:word@shop.example.com/",
    "https://@shop.example.com/",
    "https://shop.example.com:25/",
    "https://shop.example.com:22/",
    "https://shop.example.com:80/",
    "https://shop.example.com:6379/",
    "https://shop.example.com:0/",
    "https://shop.example.com:99999/",
    "https://shop.example.com/#part",
    "https://shop.example.com/a b",
    "https://shop.example.com\\@10.0.0.1/",
    "https://shop.example.com/\r\nHost: x",
    "https://shöp.example.com/",
    "https://shop.example.com/" + "a" * 2048,
    "https://-shop.example.com/",
    "https://sho%70.example.com/",
    "https://intranet/",
    "https://db.internal/",
    "https://printer.local/",
    "https://a.localhost/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data",
    "https://[fd00:ec2::254]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[fe80::1%25eth0]/",
]


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("url", _NEVER)
def test_anything_else_cannot(url: str, debug: bool) -> None:
    assert url_refusal(url, debug=debug) is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8080/hook",
        "http://127.0.0.1/",
        "http://[::1]:8080/",
        "https://localhost/hook",
        "https://127.0.0.1:8443/hook",
    ],
)
def test_this_machine_can_in_debug_only(url: str) -> None:
    assert url_refusal(url, debug=True) is None
    assert url_refusal(url, debug=False) is not None
