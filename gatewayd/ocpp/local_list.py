"""The local authorization list over the wire: the site's tags as a SendLocalList of OCPP 1.6."""

from __future__ import annotations

from collections.abc import Callable

from gatewayd.ocpp import schema_core as core
from gatewayd.ocpp.schema_fields import IdTagInfo
from gatewayd.site.codes import Authorization
from gatewayd.site.list_delivery import SendList
from gatewayd.site.tag_list import Tag


def send_local_list(wanted: SendList, stamp: Callable[[float], str]) -> core.SendLocalList:
    """A Full list without entries empties the charge point's; an entry without a status deletes (OCPP 1.6, 5.15)."""
    entries = [core.AuthorizationData(tag.id_tag, id_tag_info(tag, stamp)) for tag in wanted.changes.puts]
    entries += [core.AuthorizationData(id_tag) for id_tag in wanted.changes.deletes]
    return core.SendLocalList(wanted.version, "Full" if wanted.full else "Differential", entries)


def id_tag_info(tag: Tag, stamp: Callable[[float], str]) -> IdTagInfo:
    """Its status as it was put: the charge point looks at the expiry by itself."""
    expiry = stamp(tag.expiry) if tag.expiry else None
    return IdTagInfo(Authorization(tag.status).name, expiry, tag.parent_id_tag or None)
