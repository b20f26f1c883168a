"""Which addresses a webhook may go to: judged as they were resolved, unwrapped to where packets end up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk.webhooks._address import networks, why_refused

REFUSED = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1", "192.0.0.1",
    "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001:db8::1",
    "2001:20::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "3fff::1",
    "5f00::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused_with_its_kind(address: str):
    assert why_refused(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_a_public_address_is_allowed(address: str):
    assert why_refused(address) is None


def test_networks_can_be_allowed_by_name():
    allowed = networks(["127.0.0.0/8", "fd00::/8"])
    assert why_refused("127.0.0.1", allowed) is None
    assert why_refused("::ffff:127.0.0.1", allowed) is None
    assert why_refused("fd00::1", allowed) is None
    assert why_refused("10.0.0.1", allowed) == "a private address"


@given(st.text(max_size=30))
def test_what_is_no_address_is_refused(text: str):
    reason = why_refused(text)
    assert reason is None or isinstance(reason, str)
    if not any(char.isdigit() for char in text) and ":" not in text:
        assert reason == "no address at all"
