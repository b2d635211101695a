"""A mail from a send: headers that nothing can be put between, and a text, an HTML or both."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec

from wayfare_engine.channels.contract import HandOver
from wayfare_engine.channels.plugin import Rejected
from wayfare_engine.channels.plugins.mail_address import BadAddress, ascii_address

#: Seven bits, whatever the content is: every server takes that.
_POLICY = SMTP.clone(cte_type="7bit")
#: Control characters, and the line breaks that only Unicode knows.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_URL = re.compile(r"[!-;=?-~]{1,2000}", re.ASCII)
_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=900)]


class Content(msgspec.Struct, frozen=True):
    """What of a payload is for a mail; other parts are for others."""

    subject: _Line
    text: str | None = None
    html: str | None = None
    from_name: _Line | None = None
    reply_to: _Line | None = None
    list_unsubscribe: _Line | None = None


def message_id(send_key: str, domain: str) -> str:
    """A mail's name, the same for a key wherever it is sent from; without its brackets. Keys may
    have characters that a name may not, and be longer, so that it is a digest of the key."""
    return f"{hashlib.sha256(send_key.encode()).hexdigest()[:40]}@{domain}"


def content(payload: dict[str, Any]) -> Content:
    """The mail's parts. Raises Rejected, which quotes none of them."""
    try:
        found = msgspec.convert(payload, Content)
    except msgspec.ValidationError as error:
        raise Rejected(f"the payload is no mail: {error}") from None
    if not found.text and not found.html:
        raise Rejected("the payload is no mail: it has neither text nor html")
    for name in ("subject", "from_name", "reply_to", "list_unsubscribe"):
        if _BREAKS.search(getattr(found, name) or ""):
            raise Rejected(f"the payload is no mail: {name} has a line break or control character")
    return found


def mail(what: HandOver, sender: str, recipient: str, at: datetime, one_click: bool) -> bytes:
    """The mail as it is sent, with CRLF at the end of each line. Raises Rejected."""
    given = content(what.payload)
    made = EmailMessage(policy=_POLICY)
    try:
        made["From"] = Address(given.from_name or "", addr_spec=sender)
        made["To"] = Address(addr_spec=recipient)
        made["Subject"] = given.subject
        if given.reply_to is not None:
            made["Reply-To"] = Address(addr_spec=ascii_address(given.reply_to))
    except BadAddress as error:
        raise Rejected(f"the payload is no mail: reply_to is no address: {error}") from None
    made["Date"] = at
    # Out-of-office answers are not wanted (RFC 3834).
    made["Auto-Submitted"] = "auto-generated"
    if what.test:
        made["X-Wayfare-Test"] = "true"
    try:
        if given.text:
            made.set_content(given.text)
            if given.html:
                made.add_alternative(given.html, subtype="html")
        elif given.html:
            made.set_content(given.html, subtype="html")
        return _unfolded(what, given, sender, one_click) + made.as_bytes()
    except ValueError:
        raise Rejected("the payload is no mail: it has characters that no text has") from None


def _unfolded(what: HandOver, given: Content, sender: str, one_click: bool) -> bytes:
    """Headers whose long values the library would break into words that nobody reads."""
    lines = [f"Message-ID: <{message_id(what.send_key, sender.rpartition('@')[2])}>"]
    if given.list_unsubscribe is not None:
        url = _unsubscribe(given.list_unsubscribe)
        lines.append(f"List-Unsubscribe: <{url}>")
        if one_click and url.startswith("https:"):
            lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    return "".join(line + "\r\n" for line in lines).encode("ascii")


def _unsubscribe(url: str) -> str:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("https", "mailto") or not _URL.fullmatch(url):
        raise Rejected("the payload is no mail: list_unsubscribe is no https: or mailto: address")
    return url
