from __future__ import annotations

import pytest
from msgspec.structs import replace

from scanner import knowledge
from scanner.channels import find
from scanner.identify import Mind, identify
from scanner.identify.declared import CHANNELS
from scanner.knowledge import Knowledge
from scanner.model import Level, Observation, Recording
from scanner.protocols import read_all

Said = tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def known() -> Knowledge:
    return knowledge.load()


def device(*said: tuple[str, str], mac: str | None = None) -> Recording:
    return Recording(id="d", mac=mac, observations=tuple(Observation(channel=c, value=v) for c, v in said))


def test_its_channels_are_of_the_vocabulary() -> None:
    assert all(find(channel) is not None for channel in CHANNELS)


@pytest.mark.parametrize("oid", ["1.3.6.1.4.1.46055.1.2", ".1.3.6.1.4.1.58597", "SNMPv2-SMI::enterprises.46055.1"])
def test_a_registered_number_names_its_company(known: Knowledge, oid: str) -> None:
    answer = identify(device(("snmp.sysobjectid", oid)), known)
    assert (answer.manufacturer, answer.level) == ("hytera", Level.LIKELY)
    assert answer.matches[0].fingerprint.startswith("snmp-number-")
    assert answer.matches[0].readings[0].value == oid


def test_an_engine_id_is_as_good(known: Knowledge) -> None:
    answer = identify(device(("snmp.engineid", f"80{46055:06x}03001122334455")), known)
    assert answer.manufacturer == "hytera"


@pytest.mark.parametrize("oid", ["1.3.6.1.4.1.39165.1.6", "1.3.6.1.4.1.39165.7", "1.3.6.1.4.1.5875.1", "1.3.6.1.2.1.1"])
def test_a_number_that_others_answer_with_is_left_to_fingerprints(known: Knowledge, oid: str) -> None:
    answer = identify(device(("snmp.sysobjectid", oid)), known)
    assert not any(match.fingerprint.startswith("snmp-number-") for match in (*answer.matches, *answer.conflicts))


def test_the_number_of_a_network_operator_names_nobody(known: Knowledge) -> None:
    assert identify(device(("snmp.sysobjectid", "1.3.6.1.4.1.45064.1")), known).manufacturer is None


@pytest.mark.parametrize(
    ("channel", "value"),
    [
        ("upnp.manufacturer", "Hytera Communications Corporation Limited"),
        ("upnp.manufacturer", "HYTERA"),
        ("sip.gb28181.manufacturer", "Hytera"),
        ("lldp.med.manufacturer", "Hytera"),
        ("mdns.txt", "manufacturer=Hytera"),
    ],
)
def test_a_name_given_as_the_manufacturers_is_taken_at_its_word(known: Knowledge, channel: str, value: str) -> None:
    answer = identify(device((channel, value)), known)
    assert (answer.manufacturer, answer.level) == ("hytera", Level.LIKELY)


@pytest.mark.parametrize(
    ("channel", "value"),
    [
        ("upnp.manufacturer", "Aztec Cameras"),
        ("upnp.manufacturer", "not Hytera"),
        ("upnp.manufacturer", "Hytera compatible"),
        ("upnp.manufacturer", "x" * 500_000),
        ("upnp.manufacturer", ""),
        ("onvif.scopes", "onvif://www.onvif.org/location/Hytera onvif://www.onvif.org/hardware/Hytera"),
        ("onvif.device_information", "Model=Hytera"),
        ("mdns.txt", "note=manufacturer=Hytera"),
        ("http.title", "Hytera"),
        ("tls.subject", "CN=Hytera"),
        ("http.header.server", "nginx (Hytera)"),
        ("http.header.www-authenticate", 'Basic realm="Login to Hytera"'),
        ("http.header.www-authenticate", 'Digest realm="x", nonce="Hytera"'),
        ("tls.subject", "CN=x,O=Hytera user group"),
    ],
)
def test_a_name_that_is_part_of_another_text_names_nobody(known: Knowledge, channel: str, value: str) -> None:
    assert identify(device((channel, value)), known).manufacturer is None


@pytest.mark.parametrize(
    ("channel", "value"),
    [
        ("onvif.device_information", "Manufacturer=Hytera\nModel=X1\nFirmwareVersion=1"),
        ("onvif.scopes", "onvif://www.onvif.org/type/video onvif://www.onvif.org/name/Hytera"),
        ("tls.subject", "CN=x,O=Hytera Communications Corporation Limited,C=CN"),
        ("tls.subject", '/C=CN/O="Hytera"/CN=x'),
        ("tls.subject", "o=hytera"),
        ("http.header.server", "Hytera"),
        ("http.header.server", "Hytera/1.0"),
        ("rtsp.header.server", "Hytera (Linux)"),
        ("http.header.www-authenticate", 'Digest qop="auth", realm="Hytera", nonce="1"'),
        ("dhcp.vendor_class", "HYTERA"),
    ],
)
def test_a_name_that_others_may_write_is_possible(known: Knowledge, channel: str, value: str) -> None:
    """Cameras copy a maker's name in ONVIF, a realm may name a place, a company's certificate may be its own server's."""
    answer = identify(device((channel, value)), known)
    assert (answer.manufacturer, answer.level) == ("hytera", Level.POSSIBLE)


def test_a_label_on_hardware_of_others_is_a_label_and_no_maker(known: Knowledge) -> None:
    for label in ("Lorex", "Amcrest", "Honeywell"):
        answer = identify(device(("upnp.manufacturer", label)), known)
        assert answer.manufacturer is None, label
        assert answer.brand == label.lower()
        assert any("label on hardware of others" in note for note in answer.notes)


def test_a_label_does_not_hide_who_built_the_hardware(known: Knowledge) -> None:
    bare = identify(device(mac="3c:ef:8c:11:22:33"), known)
    labelled = identify(device(("onvif.device_information", "Manufacturer=Lorex"), mac="3c:ef:8c:11:22:33"), known)
    assert (labelled.manufacturer, labelled.level) == (bare.manufacturer, bare.level) == ("dahua", Level.LIKELY)
    assert labelled.brand == "lorex"


def test_the_name_of_a_maker_of_parts_or_computers_is_not_more_than_possible(known: Knowledge) -> None:
    for name in ("Broadcom", "Dell Inc.", "Raspberry Pi"):
        assert identify(device(("upnp.manufacturer", name)), known).level in {Level.POSSIBLE, Level.UNKNOWN}, name


def test_what_a_fingerprint_says_is_not_said_twice(known: Knowledge) -> None:
    answer = identify(device(("upnp.manufacturer", "Hikvision"), ("upnp.modelname", "DS-2CD2032-I")), known)
    assert answer.manufacturer == "hikvision"
    assert not any(match.fingerprint.startswith("names-itself") for match in answer.matches)


@pytest.mark.parametrize("service", ["_psia._tcp.local", "_CGI._tcp"])
def test_a_hint_by_another_field_does_not_hide_a_name(known: Knowledge, service: str) -> None:
    """That a camera announces PSIA hints at Hikvision; that it says so by name is much more."""
    answer = identify(device(("mdns.txt", "manufacturer=Hikvision"), ("mdns.service", service)), known)
    assert (answer.manufacturer, answer.level) == ("hikvision", Level.LIKELY)


def test_a_label_is_not_hidden_by_what_names_no_maker(known: Knowledge) -> None:
    realm, server = 'Basic realm="Honeywell"', "Niagara Web Server/4.1"
    answer = identify(device(("http.header.www-authenticate", realm), ("http.header.server", server)), known)
    assert {match.brand for match in answer.matches} == {"honeywell", "tridium"}


@pytest.mark.parametrize(
    ("channel", "value"),
    [
        ("onvif.scopes", "onvif://www.onvif.org/name/IPC onvif://www.onvif.org/manufacturer/Hytera"),
        ("http.header.www-authenticate", 'Digest realm="device", nonce="1", Basic realm="Hytera"'),
        ("tls.subject", "O=Devices,O=Hytera,CN=x"),
    ],
)
def test_a_name_is_found_behind_another(known: Knowledge, channel: str, value: str) -> None:
    assert identify(device((channel, value)), known).manufacturer == "hytera"


def test_the_model_comes_with_the_name(known: Knowledge) -> None:
    answer = identify(device(("onvif.device_information", "Manufacturer=Hytera\nModel=X1\nFirmwareVersion=1")), known)
    assert answer.model == "X1"


def test_no_company_of_ours_is_taken_for_another_by_its_own_names(known: Knowledge) -> None:
    """Every spelling of every maker, as a device would write it."""
    for entity in known.vendors.entities():
        for name in (entity.label, *entity.names):
            answer = identify(device(("upnp.manufacturer", name)), known)
            assert answer.manufacturer in {None, known.group_id(entity.id)}, name


def test_what_is_thought_step_by_step_is_what_is_thought_at_once(known: Knowledge) -> None:
    whole = device(
        ("snmp.sysobjectid", "1.3.6.1.4.1.46055.1"), ("upnp.manufacturer", "Lorex"), ("mdns.txt", "manufacturer=Axis"),
        ("onvif.device_information", "Manufacturer=Hytera\nModel=X1"),
    )  # fmt: skip
    mind = Mind(known)
    for count in range(1, len(whole.observations) + 1):
        part = replace(whole, observations=whole.observations[:count])
        assert mind.consider(read_all(part))[0] == identify(part, known)
