"""What is done to a send right before it is handed over: its message is made for the customer as
they are now, and their address is looked up. Intents hold neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from wayfare_engine.content.sandbox import RenderProblem
from wayfare_engine.content.template import MessageTemplate

#: A customer's id to the values of their attributes; None for a customer who is not known.
Customers = Callable[[str], Mapping[str, Any] | None]

_MOST_IN_ADDRESS = 1024
_content = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True)
class Prepared:
    """What a hand-over carries: the payload as JSON text, and the address."""

    payload_json: str
    address: str | None = None


class Sending(Protocol):
    """What is read of a send. `payload` is the content, as JSON text; `address` is a test's own."""

    @property
    def customer(self) -> str: ...
    @property
    def payload(self) -> str: ...
    @property
    def test(self) -> bool: ...
    @property
    def address(self) -> str | None: ...


@dataclass(frozen=True)
class Renderer:
    """Of one channel. `template` None: the content goes as it is; `address_attribute` None: the
    channel needs no address. Used from several threads when `customers` can be."""

    template: MessageTemplate | None
    address_attribute: str | None
    customers: Customers

    @property
    def needed(self) -> frozenset[str]:
        """The attributes that it reads."""
        used = self.template.customer if self.template is not None else frozenset()
        return used | ({self.address_attribute} if self.address_attribute else set())

    def prepare(self, send: Sending) -> Prepared:
        """Make the message. Raises RenderProblem: it cannot be made, and nothing has left."""
        overridden = send.address if send.test else None
        looks_up = self.template is not None and self.template.customer
        values: Mapping[str, Any] | None = None
        if looks_up or (self.address_attribute is not None and overridden is None):
            values = self.customers(send.customer)
            if values is None and not send.test:
                raise RenderProblem("the customer is not known, or was erased")
        return Prepared(
            self._payload(send.payload, values or {}), overridden or self._address(values or {})
        )

    def parts(self, customer: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, str]:
        """For a preview: the parts as texts, without a template the content's values."""
        if self.template is None:
            return {
                name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
                for name, value in content.items()
            }
        return self.template.render(customer, content)

    def _payload(self, payload: str, customer: Mapping[str, Any]) -> str:
        if self.template is None:
            return payload
        try:
            content = _content.decode(payload)
        except msgspec.DecodeError:
            raise RenderProblem("the content is no JSON object") from None
        return msgspec.json.encode(self.template.render(customer, content)).decode()

    def _address(self, customer: Mapping[str, Any]) -> str | None:
        if self.address_attribute is None:
            return None
        found = customer.get(self.address_attribute)
        if found is None or found == "":
            raise RenderProblem(f"customer.{self.address_attribute} has no value")
        text = str(found)
        if len(text) > _MOST_IN_ADDRESS:
            raise RenderProblem(f"customer.{self.address_attribute} is too long for an address")
        return text
