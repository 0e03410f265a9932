"""Where a charge point dials: every address by which this gateway may be reached, to copy and as a QR code. Pure."""

from __future__ import annotations

import io
from dataclasses import dataclass
from ipaddress import ip_address

from markupsafe import Markup

from gatewayd.config_tables import Config
from gatewayd.web.pages.language import _
from gatewayd.web.pages.seen import Snapshot

STANDARD = {"ws": 80, "wss": 443}
PLACEHOLDER = "<identity>"
"""Stands for the charge point's own name, which whoever sets it up chooses."""


@dataclass(frozen=True, slots=True)
class Dial:
    """One address to enter in a charge point. `code` is a QR code as SVG."""

    label: str
    url: str
    note: str
    code: Markup


def dials(snapshot: Snapshot, config: Config, host: str, identity: str = "") -> list[Dial]:
    """The wss and ws addresses at `host`, under which the browser reached this page too."""
    ports = snapshot["ports"]
    found = []
    for scheme, port, label, note in (
        ("wss", ports["ocpp_tls"], _("With TLS"), _("Install this gateway's authority in the charge point first.")),
        ("ws", ports["ocpp"], _("Without TLS"), _("For a network of its own: everybody on it can read along.")),
    ):  # fmt: skip
        if port is None:
            continue
        url = address(scheme, host, port, config.ocpp.path, identity)
        if is_local(host):
            note = _("Only this machine reaches %(host)s: open this page by the gateway's own address.", host=host)
        found.append(Dial(label, url, note, qr(url)))
    return found


def address(scheme: str, host: str, port: int, path: str, identity: str = "") -> str:
    """The whole URL; the port only where it is not the scheme's own."""
    where = host if port == STANDARD[scheme] else f"{host}:{port}"
    return f"{scheme}://{where}{path.rstrip('/')}/{identity or PLACEHOLDER}"


def host_of(name: str) -> str:
    """The name without its port, as it stands in a URL; brackets stay around an IPv6 address."""
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0]


def qr(text: str) -> Markup:
    """A QR code as SVG, drawn in the code's own black on white: readers want it so, also on a dark page."""
    import segno  # a code is drawn for who wires a charge point, and for nobody else

    drawn = io.BytesIO()
    segno.make(text, error="m", micro=False).save(
        drawn, kind="svg", xmldecl=False, svgclass=None, lineclass=None, omitsize=True, border=2, dark="#000",
        light="#fff", nl=False,
    )  # fmt: skip
    picture = drawn.getvalue().decode()
    hidden = picture.replace("<svg ", f'<svg role="img" aria-label="{_("QR code of the address")}" ', 1)
    return Markup(hidden)


def is_local(host: str) -> bool:
    """Whether only this machine reaches `host`: then a charge point cannot dial it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
