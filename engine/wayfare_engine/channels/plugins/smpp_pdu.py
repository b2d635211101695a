"""PDUs of SMPP 3.4. Those that carry texts are of the library `smpp34`; the rest are a header and a
few fields (specification 3.4, issue 1.2, section 4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import smpp34

HEADER: Final = struct.Struct(">IIII")
#: Longer ones are no SMPP.
LONGEST: Final = 128 * 1024

RESPONSE: Final = 0x8000_0000
GENERIC_NACK: Final = RESPONSE
SUBMIT_SM: Final = 0x04
DELIVER_SM: Final = 0x05
UNBIND: Final = 0x06
BIND_TRANSCEIVER: Final = 0x09
ENQUIRE_LINK: Final = 0x15

#: Tags of optional parameters.
RECEIPTED_MESSAGE_ID: Final = 0x001E
MESSAGE_PAYLOAD: Final = 0x0424
MESSAGE_STATE: Final = 0x0427

OK: Final = 0x00
INVALID_COMMAND: Final = 0x03
QUEUE_FULL: Final = 0x14
#: "ESME Receiver Temporary App Error": deliver it again later.
LATER: Final = 0x64


@dataclass(frozen=True)
class Pdu:
    """A PDU as it came; `raw` is all of it."""

    command: int
    status: int
    sequence: int
    raw: bytes

    @property
    def text(self) -> str:
        """The C string that begins the body: the message's name in a response to a submit."""
        return self.raw[HEADER.size :].partition(b"\0")[0].decode("latin-1")


@dataclass(frozen=True)
class Delivered:
    """What a message centre delivers to us: a receipt, or a text of a phone."""

    receipt: bool
    text: bytes
    tlvs: dict[int, bytes]


def pdu(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    """One to send."""
    return HEADER.pack(HEADER.size + len(body), command, status, sequence) + body


def bind(system_id: str, password: str, system_type: str) -> bytes:
    """The body of a bind as transceiver."""
    texts = b"".join(one.encode("ascii") + b"\0" for one in (system_id, password, system_type))
    return texts + bytes([0x34, 0, 0]) + b"\0"


def delivered(raw: bytes) -> Delivered:
    """Read a deliver_sm. Raises ValueError."""
    try:
        found = smpp34.decode(raw)
    except smpp34.SmppError:
        raise ValueError("no deliver_sm") from None
    if not isinstance(found, smpp34.DeliverSm):
        raise ValueError("no deliver_sm")
    tlvs = {one.tag: one.value for one in found.tlvs}
    text = found.short_message or tlvs.get(MESSAGE_PAYLOAD, b"")
    return Delivered(found.esm_class & 0x3C == 0x04, text, tlvs)


def submit(
    sequence: int,
    source: tuple[str, int, int],
    destination: str,
    body: bytes,
    *,
    coding: int,
    headed: bool,
    receipt: bool,
    payload: bool,
) -> bytes:
    """A submit_sm. `source` is address, type of number, plan; `destination` digits after E.164;
    `headed`: the body begins with a header of its own; `payload`: it goes into message_payload."""
    address, ton, npi = source
    return smpp34.SubmitSm(
        address,
        destination,
        b"" if payload else body,
        source_addr_ton=ton,
        source_addr_npi=npi,
        dest_addr_ton=1,
        dest_addr_npi=1,
        esm_class=0x40 if headed else 0,
        registered_delivery=1 if receipt else 0,
        data_coding=coding,
        tlvs=[smpp34.Tlv(MESSAGE_PAYLOAD, body)] if payload else [],
        sequence_number=sequence,
    ).encode()
