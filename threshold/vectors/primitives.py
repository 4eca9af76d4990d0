"""The curve, the hash framing, HKDF and AES-GCM, written out with nothing but the standard library.

Slow, and not constant-time: for checking vectors only.
"""

import hashlib
import hmac

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


def gcm_tag(key, nonce, ciphertext, aad):
    pad = lambda data: data + bytes(-len(data) % 16)
    h = int.from_bytes(aes256(key, bytes(16)), "big")
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    s = ghash(h, pad(aad) + pad(ciphertext) + lengths)
    return (s ^ int.from_bytes(aes256(key, nonce + (1).to_bytes(4, "big")), "big")).to_bytes(16, "big")


def gcm_xor(key, nonce, text):
    blocks = range(2, 2 + (len(text) + 15) // 16)
    stream = b"".join(aes256(key, nonce + n.to_bytes(4, "big")) for n in blocks)
    return bytes(a ^ b for a, b in zip(text, stream))


def aes_gcm_open(key, ciphertext, tag, aad):
    """Nonce of twelve zero bytes, as wrapping uses it."""
    assert gcm_tag(key, bytes(12), ciphertext, aad) == tag, "tag"
    return gcm_xor(key, bytes(12), ciphertext)


def aes_gcm_seal(key, nonce, plaintext):
    """Ciphertext and tag, without associated data."""
    ciphertext = gcm_xor(key, nonce, plaintext)
    return ciphertext + gcm_tag(key, nonce, ciphertext, b"")
