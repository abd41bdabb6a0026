"""TLS files are verified when they are read; messages name the file and the reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from service.tls_files import (
    MAX_BYTES,
    TlsFileError,
    read_authorities,
    read_client_ca,
    read_key_pair,
)

PEM = Path(__file__).parents[1] / "rpc" / "tls"


def refusal(certificate: Path, private_key: Path) -> str:
    with pytest.raises(TlsFileError) as caught:
        read_key_pair(certificate, private_key)
    return str(caught.value)


def test_a_pair_is_read_as_it_is() -> None:
    pair = read_key_pair(PEM / "server.pem", PEM / "server.key")
    assert pair.certificate == (PEM / "server.pem").read_bytes()
    assert pair.private_key == (PEM / "server.key").read_bytes()
    assert pair.warnings == ()
    assert f"{pair.expires:%Y-%m-%d}" == "2126-10-28"


def test_one_file_may_hold_both(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text((PEM / "server.key").read_text() + (PEM / "server.pem").read_text())
    assert read_key_pair(both, both).certificate == both.read_bytes()


@pytest.mark.parametrize("role", ["certificate", "private key"])
def test_a_file_that_is_missing_or_a_folder(tmp_path: Path, role: str) -> None:
    missing = (tmp_path / "none", "No such file or directory")
    for wrong, why in (missing, (tmp_path, "Is a directory")):
        pair = (wrong, PEM / "server.key") if role == "certificate" else (PEM / "server.pem", wrong)
        assert refusal(*pair) == f"{role} {wrong}: {why}"


def test_files_that_were_mixed_up() -> None:
    for pair in (("server.key", "server.pem"), ("server.pem", "server.pem")):
        assert "were the two files mixed up?" in refusal(PEM / pair[0], PEM / pair[1])


def test_a_key_of_another_certificate() -> None:
    text = refusal(PEM / "server.pem", PEM / "client.key")
    assert f"private key {PEM / 'client.key'}: not the key of" in text
    assert str(PEM / "server.pem") in text


def test_the_certificate_of_the_key_comes_first(tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_text((PEM / "ca.pem").read_text() + (PEM / "server.pem").read_text())
    assert "not the key of the first certificate" in refusal(chain, PEM / "server.key")


@pytest.mark.parametrize("length", [0, 20, 200, 500])
@pytest.mark.parametrize("name", ["server.pem", "server.key"])
def test_files_that_are_half_written(tmp_path: Path, name: str, length: int) -> None:
    for file in ("server.pem", "server.key"):
        shutil.copy(PEM / file, tmp_path / file)
    whole = (PEM / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: min(length, len(whole) - 30)])
    text = refusal(tmp_path / "server.pem", tmp_path / "server.key")
    assert str(tmp_path / name) in text
    assert any(words in text for words in ("not PEM", "cut off"))


def test_a_chain_that_is_half_written(tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes((PEM / "server.pem").read_bytes() + (PEM / "ca.pem").read_bytes()[:-40])
    assert (
        refusal(chain, PEM / "server.key") == f"certificate {chain}: cut off within a certificate"
    )


def test_a_certificate_with_a_wrong_byte(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.pem"
    lines = (PEM / "server.pem").read_text().splitlines()
    lines[1] = "AAAA" + lines[1][4:]
    damaged.write_text("\n".join(lines))
    assert "a certificate in it is damaged" in refusal(damaged, PEM / "server.key")


def test_a_key_with_a_passphrase_is_not_asked_for(tmp_path: Path) -> None:
    assert "encrypted; decrypt it" in refusal(PEM / "server.pem", PEM / "encrypted.key")


def test_a_kind_of_key_that_grpc_does_not_know() -> None:
    assert "gRPC cannot use" in refusal(PEM / "ed25519.pem", PEM / "ed25519.key")


def test_a_file_without_end_is_not_read_to_it() -> None:
    text = refusal(Path("/dev/zero"), PEM / "server.key")
    assert f"larger than {MAX_BYTES // 1024 // 1024} MiB" in text


def test_an_expired_certificate_is_a_warning() -> None:
    (warning,) = read_key_pair(PEM / "expired.pem", PEM / "expired.key").warnings
    assert warning == f"certificate {PEM / 'expired.pem'}: expired on 2001-01-01 00:00 UTC"


def test_many_expired_certificates_are_one_warning(tmp_path: Path) -> None:
    several = tmp_path / "several.pem"
    several.write_bytes((PEM / "expired.pem").read_bytes() * 3)
    (warning,) = read_authorities(several, "authority").warnings
    assert "and 2 more of its certificates" in warning


def test_a_client_ca_that_is_no_authority() -> None:
    assert read_client_ca(PEM / "ca.pem").warnings == ()
    with pytest.raises(TlsFileError, match=r"server\.pem: not the certificate of an authority"):
        read_client_ca(PEM / "server.pem")


def test_a_client_ca_with_other_certificates_in_it(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes((PEM / "ca.pem").read_bytes() + (PEM / "server.pem").read_bytes())
    (warning,) = read_client_ca(mixed).warnings
    assert "1 of its certificates" in warning
