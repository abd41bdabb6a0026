"""The rules of webhooks: URLs, addresses, pauses, signatures."""

from __future__ import annotations

import base64
import json

import pytest
from google.protobuf import json_format
from standardwebhooks import Webhook as Receiver

from palimpsest.v1.changes_pb2 import Change as ChangeMessage
from palimpsest.v1.changes_pb2 import ListChangesResponse
from service.core import webhooks as rules
from service.core.model import INTERNAL_KINDS, Change, ChangeKind
from service.rpc.convert import changes as convert


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("https://x.test/" + "a" * 2_000, "2,000 characters"),
        ("https://ex ample.test/", "ASCII"),
        ("https://exämple.test/", "ASCII"),
        ("https://x.test/\n", "ASCII"),
        ("ftp://x.test/", "https://HOST"),
        ("https:///path", "https://HOST"),
        ("https://x.test:0/", "https://HOST"),
        ("x.test/hook", "https://HOST"),
        ("https://x.test:99999/", "malformed"),
        ("https://[::1/", "malformed"),
        ("https://ann:secret@x.test/", "no user name"),
        ("https://ann@x.test/", "no user name"),
        ("https://x.test/#here", "no fragment"),
        ("http://x.test/", "must be https"),
    ],
)
def test_urls_that_nothing_is_sent_to(url: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        rules.check_url(url, allow_private=False)


def test_urls_that_are_taken() -> None:
    for url in ("https://x.test", "https://x.test:8443/a/b?c=d", "https://[2001:4860::1]/"):
        rules.check_url(url, allow_private=False)
    rules.check_url("http://10.0.0.1:8080/hook", allow_private=True)


def test_a_url_is_shown_without_its_query() -> None:
    assert rules.shown_url("https://x.test:1/a?token=secret") == "https://x.test:1/a?..."
    assert rules.shown_url("https://x.test/a") == "https://x.test/a"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1",
        "192.0.2.1", "192.168.0.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "fe80::1",
        "fe80::1%1", "fc00::1", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2002:a00:1::", "2001:db8::1", "2001::1", "::7f00:1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not rules.is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert rules.is_public(address)


def test_pauses_grow_to_hours_and_stay_near_to_what_they_are() -> None:
    usual = [rules.pause(failures, 0.5) for failures in range(1, rules.MAX_FAILURES)]
    assert usual[:3] == [5, 10, 20]
    assert usual == sorted(usual)
    assert usual[-1] == rules.LONGEST_PAUSE
    assert 2.5 < sum(usual) / 86_400 < 3.5
    for failures, pause in enumerate(usual, 1):
        assert rules.pause(failures, 0) == pytest.approx(0.8 * pause)
        assert rules.pause(failures, 1) == pytest.approx(1.2 * pause)
    assert rules.pause(10**9, 0.5) == rules.LONGEST_PAUSE


def test_a_longer_pause_that_is_asked_for_is_taken_within_bounds() -> None:
    assert rules.pause(1, 0.5, 60) == 60
    assert rules.pause(1, 0.5, 1) == 5
    assert rules.pause(1, 0.5, 10**9) == rules.LONGEST_PAUSE


def test_signatures_are_those_of_the_standard() -> None:
    # The example of the specification's own libraries.
    text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = rules.signature(
        base64.b64decode(text[6:]), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_as_long_as_the_standard_wants_and_each_another() -> None:
    secrets = {rules.new_secret() for _ in range(10)}
    assert len(secrets) == 10
    assert all(24 <= len(secret) <= 64 for secret in secrets)
    for secret in secrets:
        assert Receiver(rules.secret_text(secret))._whsecret == secret


def test_an_event_has_the_contracts_message() -> None:
    for kind in set(ChangeKind) - INTERNAL_KINDS:
        change = Change(
            2**53 + 1, kind, "mem_1", ["a", "b"], 1_800_000_000_000_001, "k", "läbel", "r", "ann"
        )
        sent = json.loads(rules.change_body(change))
        response = ListChangesResponse()
        convert.to_proto([change], response.changes)
        assert json_format.ParseDict(sent["data"], ChangeMessage()) == response.changes[0]
        assert sent["type"] == kind.value
        assert sent["timestamp"] == "2027-01-15T08:00:00.000001Z"
        fields = {field.json_name for field in ChangeMessage.DESCRIPTOR.fields}
        assert sent["data"].keys() == fields


def test_a_label_of_any_bytes_can_be_sent() -> None:
    change = Change(1, ChangeKind.MEMORY_CREATED, "m", [], 0, "k", "\udcff", "")
    assert json.loads(rules.change_body(change))["data"]["keyLabel"] == "\udcff"
