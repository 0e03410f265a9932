"""A certificate of the user's own authority for charge points over TLS: judged before it is saved. What page and API do
with it alike.

The key may come along; better, it never leaves the gateway: then the certificate answers to the gateway's own request.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import tomlkit
import trio

from gatewayd.web.brought_certificate import CERTIFICATE, KEY, NAME_LONGEST, PEM_MARK, Brought, Own
from gatewayd.web.editor import Author, Fault
from gatewayd.web.refusals import Refused

if TYPE_CHECKING:
    from gatewayd.web.app import Webd
    from gatewayd.web.certificate_judge import Seen

KEYS: Final = {"ocpp.tls.certificate": CERTIFICATE, "ocpp.tls.key": KEY}
WARNED_BEFORE: Final = timedelta(days=30)
"""As long before its end as gatewayd warns of it too."""


async def request(of: Webd, author: Author, name: str = "") -> Own:
    """The gateway's request for somebody else's authority. Raises Refused, GatewayAway."""
    if len(name) > NAME_LONGEST:
        raise Refused(422, f"the name of a host has {NAME_LONGEST} characters at most")
    answer = await of.gateway.signing_request(name.strip())
    if not answer.get("ok", False):
        raise Refused(409, "there is no request for a certificate", str(answer.get("error", "")))
    of.audit.note(*author, "certificate request", "", name.strip())
    return _said(answer)


async def take(of: Webd, author: Author, brought: Brought) -> list[Fault]:
    """What is wrong; nothing: it is saved and charge points see it. Raises GatewayAway: it must say its names."""
    from gatewayd.web import certificate_judge

    answer = await of.gateway.signing_request("")
    if not answer.get("ok", False):
        return [{"key": CERTIFICATE, "what": str(answer.get("error", "the gateway cannot judge it"))}]
    own = _said(answer)
    wrong = await trio.to_thread.run_sync(
        certificate_judge.faults, brought, own, datetime.fromtimestamp(time.time(), UTC)
    )
    if wrong:
        return wrong
    before, key = _present(of), _inline(brought.key) if brought.key else own.key
    wrong = await _set(of, author, _inline(brought.certificate), key)
    if not wrong and "certificate" in (await of.gateway.snapshot())["gateway"]["faults"]:
        await _set(of, author, *before)
        return [{"key": CERTIFICATE, "what": "the gateway cannot use it, and its log says why"}]
    return wrong


def _said(answer: dict[str, Any]) -> Own:
    return Own(str(answer["request"]), tuple(answer["names"]), str(answer["key"]))


def _inline(pem: str) -> str:
    return tomlkit.string("\n" + pem.replace("\r\n", "\n").strip() + "\n", multiline=True)


async def withdraw(of: Webd, author: Author) -> list[Fault]:
    """The gateway's own authority's certificate again."""
    return await _set(of, author, "", "")


async def _set(of: Webd, author: Author, certificate: str, key: str) -> list[Fault]:
    found = await of.editor.set(author, {"ocpp.tls.certificate": certificate, "ocpp.tls.key": key})
    return [{"key": KEYS.get(each["key"], each["key"]), "what": each["what"]} for each in found]


def _present(of: Webd) -> tuple[str, str]:
    table = of.gateway.config().ocpp.tls
    return table.certificate, table.key


def is_configured(of: Webd) -> bool:
    """Whether charge points see another certificate than the gateway's authority's."""
    return bool(_present(of)[0])


def configured(of: Webd) -> Seen | None:
    """That certificate; None: there is none, or webd cannot read it because it is in a file of gatewayd's."""
    from gatewayd.web import certificate_judge

    text, _ = _present(of)
    try:
        return certificate_judge.seen(text.encode("ascii")) if PEM_MARK in text else None
    except ValueError:
        return None
