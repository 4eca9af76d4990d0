#!/usr/bin/env python3
"""Checks the vectors beside it, from docs/protocol-bytes.md alone.

Nothing but the standard library: the curve, the hash framing, HKDF and AES-GCM are written out in primitives.py, so
that agreement with the Rust code means that two implementations agree.
Usage: python3 threshold/vectors/check.py
"""

import hashlib
import json
import pathlib

from primitives import (
    BASE,
    IDENTITY,
    L,
    SUITE,
    add,
    aes_gcm_open,
    challenge,
    compress,
    decompress,
    digest,
    ed25519_verify,
    equal,
    expand_seed,
    hkdf,
    mul,
    neg,
    point,
    public_of,
    scalar,
    signed,
)

HERE = pathlib.Path(__file__).parent

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
    assert out["epoch"] != bytes(4)
    out["previous"] = reader.take(32) if out["epoch"] > (1).to_bytes(4, "big") else None
    out["t"], out["n"], out["members"] = reader.number(2), reader.number(2), []
    for i in range(reader.number(4)):
        member = {"index": reader.number(2), "name": reader.bytes(), "identity": reader.take(32)}
        member["address"], member["share"] = reader.bytes(), reader.take(32)
        assert member["index"] == i + 1
        out["members"].append(member)
    reader.done()
    assert len(out["members"]) == out["n"] and out["key_id"] == key_id(out["x"])
    for chosen in (range(1, out["t"] + 1), range(out["n"] - out["t"] + 1, out["n"] + 1)):
        total = combine_points([(i, point(out["members"][i - 1]["share"])) for i in chosen])
        assert compress(total) == out["x"], "interpolation"
    out["digest"] = digest("manifest", [("manifest", data)])
    return out


def read_signed_manifest(reader):
    """A manifest with every member's signature, somewhere within other bytes."""
    start = reader.at
    reader.header()
    reader.take(32 + 32)
    if reader.number(4) > 1:
        reader.take(32)
    reader.take(4)
    for _ in range(reader.number(4)):
        reader.take(2)
        reader.bytes()
        reader.take(32)
        reader.bytes()
        reader.take(32)
    manifest = read_manifest(reader.data[start : reader.at])
    assert reader.number(4) == manifest["n"]
    for member in manifest["members"]:
        message = signed("manifest-signature", manifest["digest"])
        assert ed25519_verify(member["identity"], message, reader.take(64))
    return manifest


def lagrange(indices, i, at):
    """The coefficient of the value at i, for the value at `at`."""
    out = 1
    for j in indices:
        if j != i:
            out = out * (at - j) * pow(i - j, L - 2, L) % L
    return out


def combine_points(shares, at=0):
    indices, total = [i for i, _ in shares], IDENTITY
    for i, p in shares:
        total = add(total, mul(lagrange(indices, i, at), p))
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
    if isinstance(identities, dict):
        identities = identities[kind]
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
        assert payload == b"\x02\x01" + n.to_bytes(4, "big") + attestations
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


def read_points(payload, count):
    reader = Reader(payload)
    reader.header()
    assert reader.number(4) == count
    out = [point(reader.take(32)) for _ in range(count)]
    reader.done()
    return out


def read_scalar(payload):
    assert len(payload) == 34 and payload[:2] == b"\x01\x01" and scalar(payload[2:]) != 0
    return scalar(payload[2:])


def read_key_share(data, manifest, index):
    assert data[:36] == b"\x01\x01" + manifest["digest"] + index.to_bytes(2, "big") and len(data) == 68
    x = scalar(data[36:])
    assert compress(mul(x, BASE)) == manifest["members"][index - 1]["share"]
    return x


def check_resharing():
    v = load("reshare.json")
    old, new = ([public_of(h(seed)) for seed in v[which + "_identity_seeds"]] for which in ("old", "new"))
    who = {4: old, 5: old, 6: new, 7: new}
    data = h(v["resharing"])
    reader = Reader(data)
    reader.header()
    nonce, previous = reader.take(32), read_signed_manifest(reader)
    assert [member["identity"] for member in previous["members"]] == old
    threshold = reader.take(4)
    t, n = int.from_bytes(threshold[:2], "big"), int.from_bytes(threshold[2:], "big")
    seats, names = data[reader.at :], []
    for i in range(reader.number(4)):
        assert reader.number(2) == i + 1
        names.append(reader.bytes())
        assert reader.take(32) == new[i]
        reader.bytes()
    reader.done()
    fields = [("nonce", nonce), ("previous", previous["digest"]), ("threshold", threshold), ("seats", seats)]
    ident = digest("resharing", fields)
    assert ident == h(v["resharing_id"]) and n == len(new) == len(names)
    # What came to each seat, and the verdicts that follow from it; the first commitments that were seen of a dealer.
    dealings, reports, totals = {}, [], [{} for _ in new]
    for seat in range(1, n + 1):
        commitments, shares = {}, {}
        for message in map(h, v["messages_to_seats"][seat - 1]):
            sender, recipient, kind, payload, attestation = read_message(message, ident, who)
            if kind == 4:
                assert recipient == 0
                points = read_points(payload, t)
                assert compress(points[0]) == previous["members"][sender - 1]["share"]
                commitments.setdefault(sender, []).append((points, attestation))
                dealings.setdefault(sender, points)
            else:
                assert (kind, recipient) == (5, seat)
                shares[sender] = (read_scalar(payload), message)
        report = b"\x01\x01" + previous["n"].to_bytes(4, "big")
        for dealer in range(1, previous["n"] + 1):
            came = commitments.get(dealer, [])
            if not came:
                report += b"\x00"
            elif len(came) == 2:
                report += b"\x01" + came[0][1] + came[1][1]
            elif dealer not in shares:
                report += b"\x03" + came[0][1]
            else:
                share, message = shares[dealer]
                fits = equal(mul(share, BASE), evaluate(came[0][0], seat))
                report += (b"\x05" if fits else b"\x04") + came[0][1] + (b"" if fits else message)
                if fits:
                    totals[seat - 1][dealer] = share
        reports.append(report)
    attestations = b""
    for seat, message in enumerate(map(h, v["reports"])):
        sender, recipient, kind, payload, attestation = read_message(message, ident, who)
        assert (sender, recipient, kind, payload) == (seat + 1, 0, 6, reports[seat])
        attestations += attestation
    dealers = v["dealers"]
    assert dealers == [d for d in range(1, previous["n"] + 1) if all(d in total for total in totals)]
    assert len(dealers) >= previous["t"]
    # F = sum of lambda_d f_d, by its commitments.
    lam = {d: lagrange(dealers, d, 0) for d in dealers}
    combined = []
    for k in range(t):
        total = IDENTITY
        for d in dealers:
            total = add(total, mul(lam[d], dealings[d][k]))
        combined.append(total)
    assert compress(combined[0]) == previous["x"]
    reader = Reader(h(v["signed_manifest"]))
    manifest = read_signed_manifest(reader)
    reader.done()
    assert (manifest["x"], manifest["t"], manifest["n"]) == (previous["x"], t, n)
    assert int.from_bytes(manifest["epoch"], "big") == int.from_bytes(previous["epoch"], "big") + 1
    assert manifest["previous"] == previous["digest"]
    for i, member in enumerate(manifest["members"]):
        assert (member["identity"], member["name"]) == (new[i], names[i])
        assert member["share"] == compress(evaluate(combined, i + 1))
        x = read_key_share(h(v["new_key_shares"][i]), manifest, i + 1)
        assert x == sum(lam[d] * totals[i][d] for d in dealers) % L
        sender, recipient, kind, payload, _ = read_message(h(v["confirmations"][i]), ident, who)
        assert (sender, recipient, kind) == (i + 1, 0, 7)
        assert payload[:34] == b"\x01\x01" + manifest["digest"]
        assert payload[98:] == n.to_bytes(4, "big") + attestations
        assert ed25519_verify(new[i], signed("manifest-signature", manifest["digest"]), payload[34:98])
    # The dealers' constant terms are their shares: any t of the old and any t of the new hold the same secret.
    secrets = []
    for manifest_, shares, need in ((previous, v["old_key_shares"], previous["t"]), (manifest, v["new_key_shares"], t)):
        xs = {i + 1: read_key_share(h(share), manifest_, i + 1) for i, share in enumerate(shares)}
        for chosen in (list(xs)[:need], list(xs)[-need:]):
            secrets.append(sum(lagrange(chosen, i, 0) * xs[i] for i in chosen) % L)
    assert len(set(secrets)) == 1


def check_repair():
    v = load("repair.json")
    identities = [public_of(h(seed)) for seed in v["identity_seeds"]]
    reader = Reader(h(v["repair"]))
    reader.header()
    nonce, manifest, lost = reader.take(32), read_signed_manifest(reader), reader.take(2)
    listed = reader.data[reader.at :]
    helpers = [reader.number(2) for _ in range(reader.number(4))]
    reader.done()
    fields = [("nonce", nonce), ("manifest", manifest["digest"]), ("lost", lost), ("helpers", listed)]
    ident = digest("repair", fields)
    assert ident == h(v["repair_id"]) and len(helpers) == manifest["t"]
    r = int.from_bytes(lost, "big")
    assert r not in helpers and helpers == sorted(set(helpers))
    xs = [read_key_share(h(share), manifest, i + 1) for i, share in enumerate(v["key_shares"])]
    points, attestations = [], b""
    for helper, message in zip(helpers, map(h, v["commitments"])):
        sender, recipient, kind, payload, attestation = read_message(message, ident, identities)
        assert (sender, recipient, kind) == (helper, 0, 8)
        points.append(read_points(payload, len(helpers)))
        attestations += attestation
    sums = [0] * len(helpers)
    for i, helper in enumerate(helpers):
        total = 0
        for j, message in enumerate(map(h, v["parts"][i])):
            sender, recipient, kind, payload, _ = read_message(message, ident, identities)
            assert (sender, recipient, kind) == (helper, helpers[j], 9)
            part = read_scalar(payload)
            assert equal(mul(part, BASE), points[i][j])
            total, sums[j] = total + part, (sums[j] + part) % L
        assert total % L == lagrange(helpers, helper, r) * xs[helper - 1] % L
    for j, message in enumerate(map(h, v["sums"])):
        sender, recipient, kind, payload, _ = read_message(message, ident, identities)
        assert (sender, recipient, kind) == (helpers[j], r, 10)
        expected = b"\x01\x01" + sums[j].to_bytes(32, "little")
        assert payload == expected + len(helpers).to_bytes(4, "big") + attestations
    assert h(v["repaired_key_share"]) == h(v["key_shares"][r - 1])
    assert sum(sums) % L == xs[r - 1]


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
        check_resharing,
        check_repair,
        check_statement,
        check_canary,
    ):
        check()
        print("ok", check.__name__.removeprefix("check_"))
