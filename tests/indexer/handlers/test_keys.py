"""Certificates and keys: no body of a private key becomes text, whatever was done to it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import key_parts as keys
from crawling import crawl_bytes
from indexer.model import Item

PEM = keys.pem("RSA PRIVATE KEY", keys.rsa_private())
BODIES = [line for line in PEM.decode().split("\n") if "-" not in line and line]


def told(items: list[Item]) -> str:
    return "\n".join(text.body for item in items for text in item.texts)


@pytest.mark.parametrize("before", [b"", b"# a script\nset -e\ncat > key <<X\n", b"\xef\xbb\xbf"])
def test_a_private_key_is_named_and_not_shown(before: bytes) -> None:
    items = crawl_bytes(before + PEM, "deploy.sh")
    assert [field.value for field in items[0].fields if field.name == "key.private"] == [True]
    assert not any(body in told(items) for body in BODIES)


@given(st.data())
@settings(max_examples=80)
def test_a_damaged_private_key_is_not_shown_either(data: st.DataObject) -> None:
    sample = bytearray(PEM)
    end = PEM.index(b"-----END")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(32, end - 8))
        sample[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    items = crawl_bytes(bytes(sample[: data.draw(st.integers(64, len(sample)))]), "id_rsa")
    assert not any(body[:32] in told(items) for body in BODIES)
    assert not [problem for problem in items[0].problems if problem.cause == "crash"]


@given(st.data())
@settings(max_examples=80)
def test_damaged_certificates_are_never_a_crash(data: st.DataObject) -> None:
    sample = bytearray(keys.certificate(keys.named(CN="雲"), keys.named(O="Kumo")))
    for _ in range(data.draw(st.integers(1, 4))):
        sample[data.draw(st.integers(4, len(sample) - 1))] = data.draw(st.integers(0, 255))
    armoured = keys.pem("CERTIFICATE", bytes(sample))
    for item in (*crawl_bytes(bytes(sample), "a.cer"), *crawl_bytes(armoured, "a.pem")):
        assert not [problem for problem in item.problems if problem.cause == "crash"]


def test_the_fingerprint_is_what_ssh_shows() -> None:
    blob = base64.b64encode(keys.ssh_rsa()).decode()
    items = crawl_bytes(f"ssh-rsa {blob} pak\n".encode(), "id_rsa.pub")
    found = {field.name: field.value for field in items[0].fields}
    assert found["key.algorithm"] == "RSA 1024"
    assert str(found["key.fingerprint"]).startswith("SHA256:") and len(str(found["key.fingerprint"])) == 50
