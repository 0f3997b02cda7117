#!/usr/bin/env python3
"""Checks the test vectors with implementations that glancecast does not use.

usage: python3 -m venv VENV && VENV/bin/pip install blake3 cryptography && VENV/bin/python tests/vectors/verify.py

The key of each datagram is derived again and its body sealed and opened again; signatures of datagrams and receipts are
made again, secrets of two agreement keys (X25519) computed by both sides, and hashes of names, symbols and held objects
worked out. Exit 1 names what differs. Note that the Python package blake3 binds the same Rust crate as glancecast does,
so the derivation is also done by the plain Python of this file, from the BLAKE3 paper.
"""

import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

try:
    import blake3
except ImportError:
    blake3 = None

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
SIGNED = b"glancecast v2 signed datagram: group id, session id, header, body\0"
RECEIPT = b"glancecast v2 receipt: group id, session id, time, outcome, root, name\0"
GROUP_ID = "glancecast v2 group id: group key"
NAME_HASH = "glancecast v2 name of a host: session id, name"
HELD_DIGEST = "glancecast v2 held objects: roots, names"
DONE, FAILED, TOTALS = 18, 19, 60
CHUNK_START, CHUNK_END, ROOT, DERIVE_KEY_CONTEXT, DERIVE_KEY_MATERIAL = 1, 2, 8, 32, 64


def rotate(word, bits):
    return (word >> bits | word << (32 - bits)) & 0xFFFFFFFF


def mix(s, a, b, c, d, x, y):
    s[a] = (s[a] + s[b] + x) & 0xFFFFFFFF
    s[d] = rotate(s[d] ^ s[a], 16)
    s[c] = (s[c] + s[d]) & 0xFFFFFFFF
    s[b] = rotate(s[b] ^ s[c], 12)
    s[a] = (s[a] + s[b] + y) & 0xFFFFFFFF
    s[d] = rotate(s[d] ^ s[a], 8)
    s[c] = (s[c] + s[d]) & 0xFFFFFFFF
    s[b] = rotate(s[b] ^ s[c], 7)


def compress(chaining, block, flags):
    """One block of the first chunk (counter 0): 8 words of chaining value."""
    m = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    s = [*chaining, *IV[:4], 0, 0, len(block), flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))):
            mix(s, a, b, c, d, m[2 * i], m[2 * i + 1])
        for i, (a, b, c, d) in enumerate(((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))):
            mix(s, a, b, c, d, m[8 + 2 * i], m[9 + 2 * i])
        m = [m[i] for i in PERMUTATION]
    return tuple(s[i] ^ s[i + 8] for i in range(8))


def hash_chunk(key, data, mode):
    """BLAKE3 of at most one chunk (1024 bytes)."""
    assert 0 < len(data) <= 1024
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)]
    chaining = key
    for i, block in enumerate(blocks):
        flags = mode | (CHUNK_START if i == 0 else 0) | (CHUNK_END | ROOT if i == len(blocks) - 1 else 0)
        chaining = compress(chaining, block, flags)
    return struct.pack("<8I", *chaining)


def plain_hash(data):
    digest = hash_chunk(IV, data, 0)
    if blake3 is not None:
        assert digest == blake3.blake3(data).digest(), "the package agrees"
    return digest


def derive_key(context, material):
    context_key = struct.unpack("<8I", hash_chunk(IV, context.encode(), DERIVE_KEY_CONTEXT))
    key = hash_chunk(context_key, material, DERIVE_KEY_MATERIAL)
    if blake3 is not None:
        assert key == blake3.blake3(material, derive_key_context=context).digest(), "the package agrees"
    return key


def read(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("#", "field "))]
    return dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines)


def raw(vector, name):
    return bytes.fromhex(vector[name])


def material_of(vector):
    parts = [raw(vector, "group key")]
    parts.append(raw(vector, "salt") if "salt" in vector else raw(vector, "session"))
    parts.append(raw(vector, "receiver") if "receiver" in vector else b"")
    parts.append(shared_secret(vector) if "alone" in vector["key context"] else b"")
    return b"".join(parts)


def shared_secret(vector):
    """What the keys of sender and host share, computed on both sides."""
    secrets = set()
    for own, other in (("sender", "host"), ("host", "sender")):
        key = X25519PrivateKey.from_private_bytes(raw(vector, f"{own} agreement seed"))
        secrets.add(key.exchange(X25519PublicKey.from_public_bytes(raw(vector, f"{other} agreement key"))))
    (secret,) = secrets
    return secret


def check(path):
    vector = read(path)
    clear, plain, datagram = (raw(vector, name) for name in ("clear", "plain", "datagram"))
    if derive_key(GROUP_ID, raw(vector, "group key")) != raw(vector, "group id"):
        return "the group id is not that of the group key"
    if raw(vector, "key material") != material_of(vector):
        return "the key material is not the group key and what makes the key unique"
    if clear + raw(vector, "sealed") != datagram:
        return "the datagram is not its parts"
    nonce = bytes(4) + struct.pack(">Q", int(vector["sequence"]))
    cipher = AESGCM(derive_key(vector["key context"], raw(vector, "key material")))
    if clear + cipher.encrypt(nonce, plain, clear) != datagram:
        return "sealed again, it is another datagram"
    if cipher.decrypt(nonce, datagram[len(clear) :], clear) != plain:
        return "opened again, it says something else"
    checks = (
        ("signing seed", check_signature),
        ("receipt seed", check_receipt),
        ("sender agreement seed", check_agreement),
        ("host agreement seed", check_agreement),
        ("names", check_names),
        ("symbols, each of one byte throughout", check_symbols),
        ("held", check_held),
    )
    errors = (check(vector, clear, plain) for name, check in checks if name in vector)
    return next((error for error in errors if error), None)


def check_signature(vector, clear, plain):
    key = Ed25519PrivateKey.from_private_bytes(raw(vector, "signing seed"))
    if key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) != raw(vector, "public key"):
        return "the public key is not that of the seed"
    body, signature = plain[:-64], plain[-64:]
    if key.sign(SIGNED + raw(vector, "group id") + raw(vector, "session") + clear + body) != signature:
        return "signed again, it is another signature"
    # A host names its key in what it signs, a sender where it says who vouches (announcement, query, lease).
    names_key = clear[1] in (2, 8, 10, 16, 21) or (clear[1] == 20 and body[4:6] == bytes(2))
    if (raw(vector, "public key") in body) != names_key:
        return "it does not name its key, or names one where none belongs"
    return None


def check_receipt(vector, clear, plain):
    key = Ed25519PrivateKey.from_private_bytes(raw(vector, "receipt seed"))
    if key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) != raw(vector, "receipt key"):
        return "the receipt's key is not that of the seed"
    if clear[1] == DONE:
        root, existing, rest = plain[:32], plain[32], plain[33 + TOTALS :]
        outcome = bytes([2 if existing else 1, 0]) + root
    elif clear[1] == FAILED:
        kind, reason = plain[0], plain[1]
        rest = plain[2 + reason + TOTALS :]
        outcome = bytes([16, kind]) + bytes(32)
    else:
        return "only what is final has a receipt"
    time, length = rest[:8], rest[8]
    name, signature = rest[9 : 9 + length], rest[9 + length : 73 + length]
    statement = RECEIPT + raw(vector, "group id") + raw(vector, "session") + time + outcome + name
    if key.sign(statement) != signature:
        return "signed again, it is another receipt"
    return None


def check_agreement(vector, clear, plain):
    for party in ("sender", "host"):
        if f"{party} agreement seed" not in vector:
            continue
        key = X25519PrivateKey.from_private_bytes(raw(vector, f"{party} agreement seed"))
        public = raw(vector, f"{party} agreement key")
        if key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) != public:
            return f"the agreement key of the {party} is not that of its seed"
        if "alone" not in vector["key context"] and public not in plain:
            return f"the agreement key of the {party} is not in the datagram"
    return None


def check_names(vector, clear, plain):
    names = vector["names"].split()
    hashes = sorted(derive_key(NAME_HASH, raw(vector, "session") + name.encode())[:8] for name in names)
    page = bytes(8) + b"\xff" * 8 + struct.pack(">H", len(names)) + b"".join(hashes)
    return None if plain[: len(page)] == page else "the hashes are not those of the names"


def check_symbols(vector, clear, plain):
    bodies = raw(vector, "symbols, each of one byte throughout")
    hashes = b"".join(plain_hash(bytes([byte]) * 512)[:8] for byte in bodies)
    page = struct.pack(">H", len(bodies)) + hashes
    return None if plain[7 : 7 + len(page)] == page else "the hashes are not those of the symbols"


def check_held(vector, clear, plain):
    held = sorted((name.encode(), bytes.fromhex(root)) for root, name in (h.split(":") for h in vector["held"].split()))
    digest = derive_key(HELD_DIGEST, b"".join(root + bytes([len(name)]) + name for name, root in held))[:16]
    return None if digest in plain else "the digest is not that of what is held"


def main():
    paths = sorted(pathlib.Path(__file__).parent.glob("*.txt"))
    wrong = {path.name: error for path in paths if (error := check(path))}
    for name, error in wrong.items():
        print(f"{name}: {error}")
    print(f"{len(paths) - len(wrong)} of {len(paths)} vectors agree; blake3 package: {blake3 is not None}")
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
