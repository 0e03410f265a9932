"""The OCPP listener: `listener` lets charge points in, `link` is one that is in."""

from gatewayd.ocpp.session import SessionBug
from gatewayd.services.ocpp_listener.link import Rules
from gatewayd.services.ocpp_listener.listener import Listener

__all__ = ["Listener", "Rules", "SessionBug"]
