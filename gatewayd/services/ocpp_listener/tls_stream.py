"""TLS beneath one charge point's connection, and in plain words why it did not come about.

Not trio's SSLStream, for three reasons: a peer that is turned away hears why in a TLS alert, and can log it; the costly
steps of handshakes take turns, so that a storm of them never holds up what else the loop does; and what was said last
reaches a peer that is still sending.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

import trio

from gatewayd.ocpp.tls_refusal import explain
from gatewayd.site.refusal import Cause

RECORD_BYTES = 16384
"""What one TLS record carries at most."""
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class NoTls(Exception):
    """TLS did not come about, so nobody is there who would understand HTTP."""

    def __init__(self, cause: Cause, why: str, alert: bytes = b"") -> None:
        """`alert`: what is still to be said, where OpenSSL did not say it."""
        super().__init__(why)
        self.cause, self.why, self.alert = cause, why, alert


class TlsStream(trio.abc.HalfCloseableStream):
    """The server's end of TLS over a stream. `secure` first; then one task may read while others send."""

    def __init__(self, transport: trio.abc.HalfCloseableStream, context: ssl.SSLContext) -> None:
        self.transport = transport
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._sending = trio.Lock()

    async def secure(self, hello: bytes, turn: trio.Lock) -> None:
        """The handshake, of which the peer's first bytes came already. `turn` is shared by all who may wait for each
        other's steps; nobody holds it while waiting for a peer. Raises NoTls."""
        data = hello
        while True:
            async with turn:
                self._incoming.write(data)
                done, failed = self._step()
            if failed is not None:
                with suppress(*GONE):
                    await self._flush()  # the alert that says why
                raise failed
            await self._flush()
            if done:
                return
            try:
                data = bytes(await self.transport.receive_some(RECORD_BYTES))
            except trio.BrokenResourceError:
                data = b""
            if not data:
                raise NoTls(Cause.tls_broken_off, "it hung up in the middle of the TLS handshake, without a word")

    def _step(self) -> tuple[bool, NoTls | None]:
        """One step of the handshake: whether it is done, and why it never will be."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False, None
        except ssl.SSLError as error:
            return False, NoTls(*explain(error.reason or "", getattr(error, "verify_code", 0)))
        return True, None

    @property
    def common_name(self) -> str | None:
        """The common name in the certificate that the peer showed and that was found good; None: it showed none."""
        certificate = self._tls.getpeercert()
        if not certificate:
            return None
        subject: Any = certificate.get("subject", ())
        return next((value for part in subject for name, value in part if name == "commonName"), "")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """b"" at the end, whether the peer announced it or not: WebSocket has an end of its own."""
        while True:
            try:
                return self._tls.read(max_bytes or RECORD_BYTES)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                with suppress(*GONE):
                    await self._flush()
                raise trio.BrokenResourceError(f"TLS: {error.reason}") from None
            if self._outgoing.pending:  # it wants an answer that is none of ours
                await self._flush()
            data = await self.transport.receive_some(RECORD_BYTES)
            if not data:
                return b""
            self._incoming.write(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            raise trio.BrokenResourceError(f"TLS: {error.reason}") from None
        await self._flush()

    async def _flush(self) -> None:
        """Send what is encrypted, in its order."""
        try:
            self._sending.acquire_nowait()  # the usual case, and a round of the loop less
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            while data := self._outgoing.read():
                await self.transport.send_all(data)
        finally:
            self._sending.release()

    async def wait_send_all_might_not_block(self) -> None:
        await self.transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that nothing more comes; what the peer still sends can be read."""
        with suppress(ssl.SSLError):  # it wants to hear the peer's goodbye as well
            self._tls.unwrap()
        await self._flush()
        await self.transport.send_eof()

    async def aclose(self) -> None:
        """Without a goodbye: `send_eof` is there for that."""
        await self.transport.aclose()
