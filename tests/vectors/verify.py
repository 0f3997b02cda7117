#!/usr/bin/env python3
"""Checks the test vectors with implementations that glancecast does not use.

usage: python3 -m venv VENV && VENV/bin/pip install blake3 cryptography && VENV/bin/python tests/vectors/verify.py

The key of each datagram is derived again and its body sealed and opened again; exit 1 names what differs. Note that
the Python package blake3 binds the same Rust crate as glancecast does, so the derivation is also done by the plain
Python of this file, from the BLAKE3 paper.
"""

import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

try:
    import blake3
except ImportError:
    blake3 = None

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
SIGNED = b"glancecast v1 signed datagram: session id, header, body\0"
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


def derive_key(context, material):
    context_key = struct.unpack("<8I", hash_chunk(IV, context.encode(), DERIVE_KEY_CONTEXT))
    key = hash_chunk(context_key, material, DERIVE_KEY_MATERIAL)
    if blake3 is not None:
        assert key == blake3.blake3(material, derive_key_context=context).digest(), "the package agrees"
    return key


def read(path):
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("#", "field "))]
    return dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "") for line in lines)


def material_of(vector):
    parts = [vector["group key"]]
    parts.append(vector["salt"] if "salt" in vector else vector["session"])
    parts.append(vector.get("receiver", ""))
    return bytes.fromhex("".join(parts))


def check(path):
    vector = read(path)
    clear, plain, datagram = (bytes.fromhex(vector[name]) for name in ("clear", "plain", "datagram"))
    material = bytes.fromhex(vector["key material"])
    if material != material_of(vector):
        return "the key material is not the group key and what makes the key unique"
    nonce = bytes(4) + struct.pack(">Q", int(vector["sequence"]))
    cipher = AESGCM(derive_key(vector["key context"], material))
    if clear + cipher.encrypt(nonce, plain, clear) != datagram:
        return "sealed again, it is another datagram"
    if cipher.decrypt(nonce, datagram[len(clear) :], clear) != plain:
        return "opened again, it says something else"
    if "signing seed" in vector:
        return check_signature(vector, clear, plain)
    return None


def check_signature(vector, clear, plain):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["signing seed"]))
    if key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex() != vector["public key"]:
        return "the public key is not that of the seed"
    body, signature = plain[:-64], plain[-64:]
    if key.sign(SIGNED + bytes.fromhex(vector["session"]) + clear + body) != signature:
        return "signed again, it is another signature"
    return None


def main():
    paths = sorted(pathlib.Path(__file__).parent.glob("*.txt"))
    wrong = {path.name: error for path in paths if (error := check(path))}
    for name, error in wrong.items():
        print(f"{name}: {error}")
    print(f"{len(paths) - len(wrong)} of {len(paths)} vectors agree; blake3 package: {blake3 is not None}")
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
