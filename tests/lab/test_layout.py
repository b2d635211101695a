"""Names and addresses of the lab."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import combinations

import pytest

from wayfare_lab.errors import InvalidSites
from wayfare_lab.layout import MAX_SITES, RANGE, Site, assign, vault

SITES = [Site(f"site-{number}", number) for number in range(MAX_SITES)]


def test_no_two_networks_of_a_lab_overlap() -> None:
    networks = [IPv4Network("10.77.0.0/24")]
    for site in SITES:
        networks += [site.pods, site.services, site.management.network]
    networks.append(vault().management.network)
    assert not [pair for pair in combinations(networks, 2) if pair[0].overlaps(pair[1])]
    assert all(network.subnet_of(RANGE) for network in networks)


def test_every_place_has_its_own_address_on_the_switch() -> None:
    addresses = {place.address.ip for place in [*SITES, vault()]}
    assert len(addresses) == MAX_SITES + 1


def test_both_ends_of_a_management_link_are_hosts_of_one_network() -> None:
    for place in [*SITES, vault()]:
        hosts = set(place.management.network.hosts())
        assert {place.management.ip, place.host_management.ip} == hosts


def test_link_names_fit_the_kernel_and_stay_distinct() -> None:
    long = [Site("a" * 39 + end, 0) for end in "xy"]
    names = [name for site in [*SITES, *long] for name in (site.link, site.port)]
    assert all(len(name) <= 15 for name in names)
    assert len(set(names)) == len(names)


def test_sites_keep_their_numbers_when_others_come() -> None:
    assert assign(["north", "west"], {"west": 1}) == {"west": 1, "north": 0}


@pytest.mark.parametrize("name", ["East", "-east", "east_1", "", "vault", "switch", "x" * 41])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(InvalidSites):
        assign([name], {})


def test_one_site_too_many_is_refused_by_name() -> None:
    with pytest.raises(InvalidSites, match="'extra' is one too many"):
        assign(["extra"], {site.name: site.index for site in SITES})
