#!/usr/bin/env python3
"""Checks the vectors beside it, from docs/protocol-bytes.md alone.

Nothing but the standard library: the curve, the hash framing, HKDF and AES-GCM are written out here, so that
agreement with the Rust code means that two implementations agree. Slow, and not constant-time: for checking only.
Usage: python3 threshold/vectors/check.py
"""

import hashlib
import hmac
import json
import pathlib

HERE = pathlib.Path(__file__).parent

# --- edwards25519 -----------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)


def add(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def mul(k, p):
    result = IDENTITY
    while k > 0:
        if k & 1:
            result = add(result, p)
        p = add(p, p)
        k >>= 1
    return result


def neg(p):
    return (-p[0] % P, p[1], p[2], -p[3] % P)


def equal(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def compress(p):
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data):
    """Any canonical point, of whatever order."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P != 0:
        x = x * SQRT_M1 % P
    if (v * x * x - u) % P != 0 or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def point(data):
    """A point of the prime-order subgroup that is not the identity."""
    p = decompress(data)
    assert p is not None and not equal(p, IDENTITY) and equal(mul(L, p), IDENTITY)
    return p


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def scalar(data):
    number = int.from_bytes(data, "little")
    assert number < L
    return number


def expand_seed(seed):
    h = bytearray(hashlib.sha512(seed).digest())
    h[0] &= 248
    h[31] = h[31] & 127 | 64
    return int.from_bytes(h[:32], "little"), bytes(h[32:])


def public_of(seed):
    return compress(mul(expand_seed(seed)[0], BASE))


def ed25519_verify(key, message, signature):
    r, s = signature[:32], scalar(signature[32:])
    k = int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L
    return equal(mul(s, BASE), add(point(r), mul(k, point(key))))


# --- the transcript ---------------------------------------------------------------------------------------------

SUITE = b"quorate-v1-edwards25519-sha512"


def framed(domain, fields, end):
    data = bytes([len(SUITE)]) + SUITE + bytes([len(domain)]) + domain.encode()
    for label, value in fields:
        data += b"\x01" + bytes([len(label)]) + label.encode() + len(value).to_bytes(4, "big") + value
    return hashlib.sha512(data + end).digest()


def digest(domain, fields):
    return framed(domain, fields, b"\x02")[:32]


def challenge(domain, fields):
    return int.from_bytes(framed(domain, fields, b"\x03"), "little") % L


def signed(domain, message):
    return digest(domain, [("message", message)])


# --- HKDF-SHA-256 and AES-256-GCM -------------------------------------------------------------------------------


def hkdf(salt, material, info, length):
    key = hmac.new(salt, material, hashlib.sha256).digest()
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha256).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def xtime(a):
    return (a << 1) ^ (0x11B if a & 0x80 else 0)


def gf_mul(a, b):
    result = 0
    while b:
        if b & 1:
            result ^= a
        a, b = xtime(a), b >> 1
    return result


def make_sbox():
    box = []
    for value in range(256):
        inverse = next((c for c in range(256) if gf_mul(value, c) == 1), 0)
        out = 0x63
        for shift in range(5):
            out ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
        box.append(out)
    return box


SBOX = make_sbox()


def aes256(key, block):
    words = [list(key[i : i + 4]) for i in range(0, 32, 4)]
    rcon = 1
    for i in range(8, 60):
        word = list(words[i - 1])
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = xtime(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    keys = [sum(words[4 * r : 4 * r + 4], []) for r in range(15)]
    state = [a ^ b for a, b in zip(block, keys[0])]
    for r in range(1, 15):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]
        if r < 14:
            mixed = []
            for c in range(0, 16, 4):
                a = state[c : c + 4]
                for i in range(4):
                    mixed.append(
                        gf_mul(a[i], 2) ^ gf_mul(a[(i + 1) % 4], 3) ^ a[(i + 2) % 4] ^ a[(i + 3) % 4]
                    )
            state = mixed
        state = [a ^ b for a, b in zip(state, keys[r])]
    return bytes(state)


def ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i : i + 16], "big")
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y


def aes_gcm_open(key, ciphertext, tag, aad):
    """Nonce of twelve zero bytes, as wrapping uses it."""
    counter = lambda n: bytes(12) + n.to_bytes(4, "big")
    pad = lambda data: data + bytes(-len(data) % 16)
    h = int.from_bytes(aes256(key, bytes(16)), "big")
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    s = ghash(h, pad(aad) + pad(ciphertext) + lengths)
    expected = s ^ int.from_bytes(aes256(key, counter(1)), "big")
    assert expected.to_bytes(16, "big") == tag, "tag"
    stream = b"".join(aes256(key, counter(2 + i)) for i in range((len(ciphertext) + 15) // 16))
    return bytes(a ^ b for a, b in zip(ciphertext, stream))


# --- objects ----------------------------------------------------------------------------------------------------


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        out = self.data[self.at : self.at + n]
        assert len(out) == n, "truncated"
        self.at += n
        return out

    def number(self, n):
        return int.from_bytes(self.take(n), "big")

    def bytes(self):
        return self.take(self.number(4))

    def header(self):
        assert self.take(2) == b"\x01\x01"

    def done(self):
        assert self.at == len(self.data), "trailing bytes"


def load(name):
    return json.loads((HERE / name).read_text())


def h(text):
    return bytes.fromhex(text)


def key_id(public_key):
    return digest("key-id", [("X", public_key)])


def second_generator():
    counter = 0
    while True:
        candidate = decompress(digest("second-generator", [("counter", counter.to_bytes(4, "big"))]))
        if candidate is not None:
            multiple = mul(8, candidate)
            if not equal(multiple, IDENTITY):
                return multiple
        counter += 1


B2 = second_generator()


def read_label(reader):
    start = reader.at
    names = [reader.bytes() for _ in range(4)]
    version = reader.number(8)
    return reader.data[start : reader.at], names, version


def read_wrapped(data):
    reader = Reader(data)
    assert reader.take(4) == b"QW\x01\x01"
    out = {"key_id": reader.take(32)}
    out["label"], out["names"], out["version"] = read_label(reader)
    for name in ("u", "u2", "e", "f"):
        out[name] = reader.take(32)
    out["c"] = reader.take(80)
    reader.done()
    return out


def verify_wrapped(w):
    u, u2, e, f = point(w["u"]), point(w["u2"]), scalar(w["e"]), scalar(w["f"])
    big_w = compress(add(mul(f, BASE), mul(L - e, u)))
    big_w2 = compress(add(mul(f, B2), mul(L - e, u2)))
    fields = [("key id", w["key_id"]), ("c", w["c"]), ("label", w["label"])]
    fields += [("U", w["u"]), ("W", big_w), ("U2", w["u2"]), ("W2", big_w2)]
    assert challenge("wrap-proof", fields) == e, "wrapping proof"


def open_wrapped(w, shared):
    info = digest("wrap", [("key id", w["key_id"]), ("label", w["label"])])
    out = hkdf(SUITE, shared + w["u"], info, 64)
    assert w["c"][:32] == out[32:], "key commitment"
    return aes_gcm_open(out[:32], w["c"][32:64], w["c"][64:], w["label"])


def read_manifest(data):
    reader = Reader(data)
    reader.header()
    out = {"key_id": reader.take(32), "x": reader.take(32), "epoch": reader.take(4)}
    out["t"], out["n"], out["members"] = reader.number(2), reader.number(2), []
    for i in range(reader.number(4)):
        member = {"index": reader.number(2), "name": reader.bytes(), "identity": reader.take(32)}
        member["address"], member["share"] = reader.bytes(), reader.take(32)
        assert member["index"] == i + 1
        out["members"].append(member)
    reader.done()
    assert len(out["members"]) == out["n"] and out["key_id"] == key_id(out["x"])
    for chosen in ([1, 2], [2, 3]):
        total = combine_points([(i, point(out["members"][i - 1]["share"])) for i in chosen])
        assert compress(total) == out["x"], "interpolation"
    out["digest"] = digest("manifest", [("manifest", data)])
    return out


def combine_points(shares):
    total = IDENTITY
    for i, p in shares:
        coefficient = 1
        for j, _ in shares:
            if j != i:
                coefficient = coefficient * j * pow(j - i, L - 2, L) % L
        total = add(total, mul(coefficient, p))
    return total


# --- the vectors ------------------------------------------------------------------------------------------------


def check_transcripts():
    vectors = load("transcript.json")
    assert vectors["suite"].encode() == SUITE
    for case in vectors["cases"]:
        fields = [(field["label"], h(field["data"])) for field in case["fields"]]
        assert digest(case["domain"], fields) == h(case["digest"])
        assert challenge(case["domain"], fields).to_bytes(32, "little") == h(case["challenge"])


def check_second_generator():
    assert compress(B2) == h(load("second_generator.json")["b2"])


def check_wrapping():
    for case in load("wrap.json")["cases"]:
        w = read_wrapped(h(case["wrapped_key"]))
        x, label = scalar(h(case["x"])), h(case["label"])
        assert compress(mul(x, BASE)) == h(case["public_key"])
        assert key_id(h(case["public_key"])) == h(case["key_id"]) == w["key_id"]
        assert w["label"] == label and w["version"] == int(case["version"])
        assert w["names"] == [case[n].encode() for n in ("installation", "tenant", "dataset", "document")]
        fields = [("randomness", h(case["randomness"])), ("data key", h(case["data_key"]))]
        fields += [("key id", w["key_id"]), ("label", label)]
        r = challenge("wrap-nonce", fields + [("nonce", b"r")])
        s = challenge("wrap-nonce", fields + [("nonce", b"s")])
        assert compress(mul(r, BASE)) == w["u"] and compress(mul(r, B2)) == w["u2"]
        assert (s + scalar(w["e"]) * r) % L == scalar(w["f"])
        verify_wrapped(w)
        assert open_wrapped(w, compress(mul(x, point(w["u"])))) == h(case["data_key"])
        assert hashlib.sha256(h(case["wrapped_key"])).digest() == h(case["write_id"])


def read_message(data, ceremony_id, identities):
    reader = Reader(data)
    ceremony, sender, recipient, kind = reader.take(32), reader.number(2), reader.number(2), reader.number(1)
    payload, signature = reader.bytes(), reader.take(64)
    reader.done()
    assert ceremony == ceremony_id
    payload_digest = digest("ceremony-payload", [("payload", payload)])
    message = data[:37] + payload_digest
    assert ed25519_verify(identities[sender - 1], signed("ceremony-message", message), signature)
    return sender, recipient, kind, payload, payload_digest + signature


def check_proof_of_possession(index, commitments, r, z):
    """The challenge of FROST(Ed25519, SHA-512), as the library hashes it."""
    data = b"FROST-ED25519-SHA512-v1dkg" + index.to_bytes(32, "little") + commitments[0] + r
    c = int.from_bytes(hashlib.sha512(data).digest(), "little") % L
    assert equal(mul(scalar(z), BASE), add(point(r), mul(c, point(commitments[0]))))


def check_key_generation():
    v = load("dkg.json")
    identities = [public_of(h(seed)) for seed in v["identity_seeds"]]
    ceremony = h(v["ceremony"])
    ceremony_id = digest("ceremony", [("ceremony", ceremony)])
    assert ceremony_id == h(v["ceremony_id"])
    reader = Reader(ceremony)
    reader.header()
    reader.take(32)
    t, n = reader.number(2), reader.number(2)
    for i in range(reader.number(4)):
        assert reader.number(2) == i + 1
        reader.bytes()
        assert reader.take(32) == identities[i]
        reader.bytes()
    reader.done()
    dealers, attestations, fields = [], b"", [("ceremony", ceremony_id)]
    for i, message in enumerate(v["round1_messages"]):
        sender, recipient, kind, payload, attestation = read_message(h(message), ceremony_id, identities)
        assert (sender, recipient, kind) == (i + 1, 0, 1)
        reader = Reader(payload)
        reader.header()
        commitments = [reader.take(32) for _ in range(reader.number(4))]
        assert len(commitments) == t
        check_proof_of_possession(sender, commitments, reader.take(32), reader.take(32))
        reader.done()
        dealers.append([point(c) for c in commitments])
        attestations += attestation
        fields.append(("package", payload))
    transcript = digest("dkg-transcript", fields)
    assert transcript == h(v["transcript"])
    for i, message in enumerate(v["equality_messages"]):
        sender, recipient, kind, payload, _ = read_message(h(message), ceremony_id, identities)
        assert (sender, recipient, kind) == (i + 1, 0, 2)
        assert payload == b"\x01\x01" + transcript + n.to_bytes(4, "big") + attestations
    totals, dealt = [0] * n, set()
    for message in v["round2_messages"]:
        sender, recipient, kind, payload, _ = read_message(h(message), ceremony_id, identities)
        assert kind == 3 and payload[:2] == b"\x01\x01" and len(payload) == 34
        share = scalar(payload[2:])
        assert equal(mul(share, BASE), evaluate(dealers[sender - 1], recipient))
        totals[recipient - 1] = (totals[recipient - 1] + share) % L
        dealt.add((sender, recipient))
    assert len(dealt) == n * (n - 1)
    manifest = read_manifest(h(v["manifest"]))
    assert manifest["digest"] == h(v["manifest_digest"]) and manifest["epoch"] == (1).to_bytes(4, "big")
    total = IDENTITY
    for dealer in dealers:
        total = add(total, dealer[0])
    assert compress(total) == manifest["x"]
    for i, data in enumerate(map(h, v["key_shares"])):
        assert data[:34] == b"\x01\x01" + manifest["digest"] and data[34:36] == (i + 1).to_bytes(2, "big")
        x_i, member = scalar(data[36:]), manifest["members"][i]
        public = IDENTITY
        for dealer in dealers:
            public = add(public, evaluate(dealer, i + 1))
        assert compress(mul(x_i, BASE)) == member["share"] == compress(public)
        # What is missing from the shares that travelled is the member's own.
        own = (x_i - totals[i]) % L
        assert equal(mul(own, BASE), evaluate(dealers[i], i + 1))
        message = signed("manifest-signature", manifest["digest"])
        assert member["identity"] == identities[i]
        assert ed25519_verify(identities[i], message, h(v["manifest_signatures"][i]))


def evaluate(commitments, at):
    total = IDENTITY
    for commitment in reversed(commitments):
        total = add(mul(at, total), commitment)
    return total


def check_re_encryption():
    v = load("reencrypt.json")
    manifest, wrapped = read_manifest(h(v["manifest"])), h(v["wrapped_key"])
    w, write_id = read_wrapped(wrapped), hashlib.sha256(wrapped).digest()
    verify_wrapped(w)
    approve_id, q_secret = h(v["approve_id"]), expand_seed(h(v["reader_seed"]))[0]
    q_bytes = public_of(h(v["reader_seed"]))
    assert q_bytes == h(v["q"]) and w["key_id"] == manifest["key_id"]
    u, q = point(w["u"]), point(q_bytes)
    start = [("key id", manifest["key_id"]), ("epoch", manifest["epoch"])]
    start += [("manifest digest", manifest["digest"])]
    ids = [("write id", write_id), ("approve id", approve_id)]
    context = digest("reencrypt-context", start + ids + [("U", w["u"]), ("Q", q_bytes)])
    parts = {}
    for case in v["shares"]:
        data, x_i = h(case["share"]), scalar(h(case["key_share"])[36:])
        reader = Reader(data)
        reader.header()
        index = reader.take(2)
        r, d, t1, t2, t3, z1, z2 = (reader.take(32) for _ in range(7))
        reader.done()
        member = manifest["members"][int.from_bytes(index, "big") - 1]
        fields = [("randomness", h(case["randomness"])), ("x_i", x_i.to_bytes(32, "little"))]
        fields += [("index", index), ("context", context)]
        k, a, b = (challenge("reencrypt-nonce", fields + [("nonce", n)]) for n in (b"k", b"a", b"b"))
        assert compress(mul(k, BASE)) == r and compress(add(mul(x_i, u), mul(k, q))) == d
        assert compress(mul(a, BASE)) == t1 and compress(mul(b, BASE)) == t2
        assert compress(add(mul(a, u), mul(b, q))) == t3
        statement = start + [("index", index)] + ids + [("X_i", member["share"]), ("U", w["u"]), ("Q", q_bytes)]
        statement += [("R_i", r), ("D_i", d), ("T1", t1), ("T2", t2), ("T3", t3)]
        e = challenge("reencrypt", statement)
        assert scalar(z1) == (a + e * x_i) % L and scalar(z2) == (b + e * k) % L
        # And as a verifier sees it, who has no secret; times the cofactor.
        s1, s2 = scalar(z1), scalar(z2)
        left = [mul(s1, BASE), mul(s2, BASE), add(mul(s1, u), mul(s2, q))]
        right = [(member["share"], t1), (r, t2), (d, t3)]
        for sum_, (witness, t) in zip(left, right):
            rest = add(mul(e, point(witness)), decompress(t))
            assert equal(mul(8, add(sum_, neg(rest))), IDENTITY)
        assert digest("reencrypt-share", [("share", data)]) == h(case["share_digest"])
        parts[int.from_bytes(index, "big")] = (point(r), point(d))
    chosen = v["combined_members"]
    r = combine_points([(i, parts[i][0]) for i in chosen])
    d = combine_points([(i, parts[i][1]) for i in chosen])
    assert b"\x01\x01" + compress(r) + compress(d) == h(v["reencryption"])
    shared = compress(add(d, neg(mul(q_secret, r))))
    assert open_wrapped(w, shared) == h(v["data_key"])


def check_statement():
    v = load("statement.json")
    data = h(v["statement"])
    assert len(data) == 277
    message = signed("statement", data[:-64])
    assert ed25519_verify(public_of(h(v["identity_seed"])), message, data[-64:])


def check_canary():
    v = load("canary.json")
    _, names, version = read_label(Reader(h(v["label"])))
    assert version == 0
    assert names == [v["installation"].encode(), b"canary", b"canary", v["ceremony_id"].encode()]
    assert digest("canary", [("ceremony", h(v["ceremony_id"]))]) == h(v["approve_id"])


if __name__ == "__main__":
    for check in (
        check_transcripts,
        check_second_generator,
        check_wrapping,
        check_key_generation,
        check_re_encryption,
        check_statement,
        check_canary,
    ):
        check()
        print("ok", check.__name__.removeprefix("check_"))
