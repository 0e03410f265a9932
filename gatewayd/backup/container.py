"""The backup's file: a header that everybody may read, and the rest encrypted with a passphrase. Pure: chance comes in.

The layout is in docs/interfaces.md, The backup file. Its first 30 bytes and its last 32 mean the same in every format
there will be, so that a copy that was cut or damaged is told from one that a newer gateway wrote.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
import unicodedata
import zlib
from typing import Final

import msgspec
from argon2.low_level import Type, hash_secret_raw

MODEL: Final = "ocpp-modbus-gateway"
FORMAT: Final = 1
MAGIC: Final = b"gateway backup\r\n"
"""The line end is the first thing to be hurt by a transfer that takes the file for a text."""

FILE_MOST_BYTES: Final = 16 * 1024 * 1024
"""Ten thousand transactions and a day of messages for a central system that is away have a quarter of it."""
PAYLOAD_MOST_BYTES: Final = 64 * 1024 * 1024
"""Unpacked: what the page may hold in memory."""
HEADER_MOST_BYTES: Final = 4096

SALT_BYTES, NONCE_BYTES, KEY_BYTES, DIGEST_BYTES, TAG_BYTES = 16, 12, 32, 32, 16
_PASSES, _MEMORY_KIB, _LANES = 3, 64 * 1024, 1
"""argon2id, of format 1: RFC 9106's choice for small memory, in one thread. A guess takes 0.2 s and 64 MiB. They stand
here and not in the file, so that no file can ask for more."""

PASSPHRASE_SHORTEST, PASSPHRASE_LONGEST = 12, 256
"""Who has the file may guess as long as he likes, which nobody may at the page's door."""

_FRONT: Final = struct.Struct(">16sHIQ")
"""Magic, format, bytes of the header, bytes of the sealed part."""


class Cause(enum.StrEnum):
    """Why a file is not taken."""

    not_a_backup = enum.auto()
    truncated = enum.auto()
    damaged = enum.auto()
    newer = enum.auto()
    other_model = enum.auto()
    wrong_passphrase = enum.auto()
    altered = enum.auto()
    unusable = enum.auto()  # whole and genuine, and yet this gateway could not work with it
    too_large = enum.auto()


class BadBackup(ValueError):
    """A file that is not taken; nothing was changed. The text is a sentence for whoever brought it."""

    def __init__(self, cause: Cause, why: str) -> None:
        super().__init__(why)
        self.cause = cause


class Header(msgspec.Struct, frozen=True):
    """What everybody may read, and nobody may change unnoticed."""

    model: str
    firmware: str
    made: float
    """Seconds since 1970."""
    name: str
    """Of the gateway that it was made of."""


def passphrase_fault(passphrase: str) -> str:
    """What is wrong with a passphrase for a new backup; empty: nothing."""
    if len(passphrase) < PASSPHRASE_SHORTEST:
        return f"the passphrase has at least {PASSPHRASE_SHORTEST} characters"
    if len(passphrase) > PASSPHRASE_LONGEST:
        return f"the passphrase has at most {PASSPHRASE_LONGEST} characters"
    if len(set(passphrase)) < 4:
        return "that passphrase is the first that anybody tries"
    try:
        passphrase.encode()
    except UnicodeEncodeError:
        return "a passphrase is made of characters that have an encoding"
    return ""


def seal(header: Header, payload: bytes, passphrase: str, salt: bytes, nonce: bytes) -> bytes:
    """The file. `salt` and `nonce` are random, and never used again. Raises BadBackup for too much."""
    if len(payload) > PAYLOAD_MOST_BYTES:
        raise BadBackup(Cause.too_large, f"the state has more than {PAYLOAD_MOST_BYTES >> 20} MiB")
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # large, and rarely needed

    packed = zlib.compress(payload)
    key, check = _keys(passphrase, salt)
    told = msgspec.json.encode(header)
    front = _FRONT.pack(MAGIC, FORMAT, len(told), len(packed) + TAG_BYTES) + told + salt + check + nonce
    sealed = front + ChaCha20Poly1305(key).encrypt(nonce, packed, front)
    if len(sealed) + DIGEST_BYTES > FILE_MOST_BYTES:
        raise BadBackup(Cause.too_large, f"the backup would have more than {FILE_MOST_BYTES >> 20} MiB")
    return sealed + hashlib.sha256(sealed).digest()


def read_header(file: bytes) -> Header:
    """Who made it and when, once the file is known to be whole. Raises BadBackup."""
    return _parts(file)[0]


def unseal(file: bytes, passphrase: str) -> tuple[Header, bytes]:
    """Header and payload. Raises BadBackup, whose cause tells a wrong passphrase from a file that was changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    header, front, sealed = _parts(file)
    salt, check, nonce = _cut(front[-(SALT_BYTES + KEY_BYTES + NONCE_BYTES) :], SALT_BYTES, KEY_BYTES)
    try:
        key, right = _keys(passphrase, salt)
    except UnicodeEncodeError:
        right = b""
    if not hmac.compare_digest(check, right):
        raise BadBackup(Cause.wrong_passphrase, "the passphrase is not the one that this backup was made with")
    try:
        packed = ChaCha20Poly1305(key).decrypt(nonce, sealed, front)
    except InvalidTag:
        raise BadBackup(Cause.altered, "somebody has changed this file since it was made") from None
    return header, _unpacked(packed)


def _parts(file: bytes) -> tuple[Header, bytes, bytes]:
    """Header, all before the sealed part, and the sealed part."""
    if file[: len(MAGIC)] != MAGIC[: len(file)] or not file:
        if file.startswith(MAGIC.rstrip()):
            raise BadBackup(Cause.damaged, "the file was damaged on its way: something took it for a text")
        raise BadBackup(Cause.not_a_backup, "this file is no backup of a gateway")
    if len(file) < _FRONT.size:
        raise BadBackup(Cause.truncated, "the file is cut short")
    _, version, header_bytes, sealed_bytes = _FRONT.unpack_from(file)
    begins = _FRONT.size + header_bytes + (SALT_BYTES + KEY_BYTES + NONCE_BYTES if version == FORMAT else 0)
    whole = begins + sealed_bytes + DIGEST_BYTES
    if len(file) < whole:
        raise BadBackup(Cause.truncated, f"the file is cut short: it has {len(file)} of {whole} bytes")
    if not hmac.compare_digest(hashlib.sha256(file[:-DIGEST_BYTES]).digest(), file[-DIGEST_BYTES:]):
        raise BadBackup(Cause.damaged, "the file was damaged on its way: its checksum does not fit")
    if version > FORMAT:
        why = f"a newer gateway made this backup (format {version}, this one reads {FORMAT}): update this one first"
        raise BadBackup(Cause.newer, why)
    if version < FORMAT or len(file) != whole or header_bytes > HEADER_MOST_BYTES:
        raise BadBackup(Cause.altered, "somebody has changed this file since it was made")
    try:
        header = msgspec.json.decode(file[_FRONT.size : _FRONT.size + header_bytes], type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadBackup(Cause.altered, "somebody has changed this file since it was made") from None
    if header.model != MODEL:
        why = f"this backup is of another model ({header.model[:40]}), and this gateway is a {MODEL}"
        raise BadBackup(Cause.other_model, why)
    return header, file[:begins], file[begins:-DIGEST_BYTES]


def _keys(passphrase: str, salt: bytes) -> tuple[bytes, bytes]:
    """The key, and what shows whether the passphrase is right. However a keyboard composes an accent, it is the same.

    Neither half of what argon2 gives tells anything of the other.
    """
    secret = unicodedata.normalize("NFC", passphrase).encode()
    made = hash_secret_raw(secret, salt, _PASSES, _MEMORY_KIB, _LANES, 2 * KEY_BYTES, Type.ID)
    return made[:KEY_BYTES], made[KEY_BYTES:]


def _unpacked(packed: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        payload = unpacking.decompress(packed, PAYLOAD_MOST_BYTES)
    except zlib.error as wrong:
        raise BadBackup(Cause.unusable, f"its contents cannot be unpacked: {wrong}") from None
    if unpacking.unconsumed_tail:
        raise BadBackup(Cause.too_large, f"the backup has more than {PAYLOAD_MOST_BYTES >> 20} MiB unpacked")
    if not unpacking.eof:
        raise BadBackup(Cause.unusable, "its contents have no end")
    return payload


def _cut(data: bytes, *lengths: int) -> list[bytes]:
    """Pieces of these lengths, and the rest."""
    pieces = []
    for length in lengths:
        pieces.append(data[:length])
        data = data[length:]
    return [*pieces, data]
