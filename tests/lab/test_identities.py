"""Certificates and kubeconfigs of a site."""

from __future__ import annotations

import base64
import datetime
import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wayfare_lab import layout
from wayfare_lab.identities import write_identities
from wayfare_lab.layout import Site

NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(layout, "DATA", tmp_path)
    made = Site("east", 0)
    write_identities(made, NOW)
    return made


def _certificate(site: Site, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((site.conf / "pki" / f"{name}.crt").read_bytes())


def _user(certificate: x509.Certificate) -> tuple[str, list[str]]:
    def values(oid: x509.ObjectIdentifier) -> list[str]:
        return [str(a.value) for a in certificate.subject.get_attributes_for_oid(oid)]

    return values(NameOID.COMMON_NAME)[0], values(NameOID.ORGANIZATION_NAME)


def test_the_api_server_is_valid_for_all_its_addresses(site: Site) -> None:
    names = _certificate(site, "apiserver").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    addresses = set(names.value.get_values_for_type(x509.IPAddress))
    assert {site.address.ip, site.management.ip, site.api_service} <= addresses
    assert "kubernetes.default.svc" in names.value.get_values_for_type(x509.DNSName)


def test_each_program_is_a_user_of_its_own(site: Site) -> None:
    users = set()
    for path in (site.conf / "pki").glob("*.kubeconfig"):
        user = json.loads(path.read_text())["users"][0]["user"]
        content = base64.b64decode(user["client-certificate-data"])
        users.add(_user(x509.load_pem_x509_certificate(content))[0])
    assert users == {
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "system:kube-proxy",
        "system:node:east",
        "system:coredns",
        "system:network-policy",
        "system:lab-volumes",
        "wayfare-lab-admin",
    }


def test_etcd_does_not_trust_the_clients_of_the_api_server(site: Site) -> None:
    etcd = _certificate(site, "etcd-ca")
    _certificate(site, "apiserver-etcd").verify_directly_issued_by(etcd)
    with pytest.raises(ValueError, match="does not match certificate issuer"):
        _certificate(site, "admin").verify_directly_issued_by(etcd)


def test_a_client_certificate_is_for_clients_only(site: Site) -> None:
    usage = _certificate(site, "admin").extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_only_the_owner_reads_keys_and_kubeconfigs(site: Site) -> None:
    pki = site.conf / "pki"
    secrets = [*pki.glob("*.key"), *pki.glob("*.kubeconfig"), site.kubeconfig]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}


def test_what_a_site_has_is_kept(site: Site) -> None:
    before = site.kubeconfig.read_bytes()
    write_identities(site, NOW)
    assert site.kubeconfig.read_bytes() == before


def test_a_half_made_set_is_made_again(site: Site) -> None:
    before = site.kubeconfig.read_bytes()
    site.kubeconfig.unlink()
    write_identities(site, NOW)
    assert site.kubeconfig.read_bytes() != before
