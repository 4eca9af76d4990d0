#!/usr/bin/env python3
"""Checks the vectors beside it, from docs/object-bytes.md alone.

Nothing but the standard library: the hash framing, HKDF and AES-GCM are those of threshold/vectors/primitives.py.
Usage: python3 envelope/vectors/check.py
"""

import hashlib
import hmac
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "threshold" / "vectors"))

from primitives import aes_gcm_seal, digest  # noqa: E402

CHUNK = 16384
h = bytes.fromhex


def load(name):
    return json.loads((HERE / name).read_text())


def expand(key, info, length):
    """HKDF-Expand-SHA-256."""
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([count]), hashlib.sha256).digest()
        out, count = out + block, count + 1
    return out[:length]


def encrypt(key, salt, context, plaintext):
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
    derived = expand(key, info, 76)
    key, base, commitment = derived[:32], derived[32:44], derived[44:]
    out = salt + commitment
    for i in range(len(plaintext) // CHUNK + 1):
        nonce = bytes(a ^ b for a, b in zip(base, i.to_bytes(12, "big")))
        out += aes_gcm_seal(key, nonce, plaintext[i * CHUNK : (i + 1) * CHUNK])
    return out


def check_objects():
    for v in load("objects.json"):
        n = v["plaintext_bytes"]
        plaintext = bytes(i % 251 for i in range(n))
        found = encrypt(h(v["object_key"]), h(v["salt"]), h(v["context"]), plaintext)
        full = n // CHUNK
        assert len(found) == v["encrypted_bytes"] == 56 + CHUNK * full + 16 * (full + 1) + n % CHUNK
        assert found[:56] == h(v["header"])
        assert hashlib.sha256(found).hexdigest() == v["checksum"]
        assert v["encrypted"] is None or found == h(v["encrypted"])


def check_material():
    text = lambda value: len(value.encode()).to_bytes(4, "big") + value.encode()
    for v in load("material.json"):
        label = h(v["label"])
        assert digest("material", [("object", label)]) == h(v["object_context"])
        place = b"\0" if v["local_id"] is None else b"\1" + text(v["local_id"])
        described = text(v["name"]) + v["size"].to_bytes(8, "big") + text(v["content_type"])
        context = digest("material", [("format", b"\1\1"), ("label", label)])
        sealed = encrypt(h(v["data_key"]), h(v["salt"]), context, h(v["object_key"]) + place + described)
        assert b"\1\1" + sealed == h(v["sealed"])


if __name__ == "__main__":
    for check in (check_objects, check_material):
        check()
        print("ok", check.__name__.removeprefix("check_"))
