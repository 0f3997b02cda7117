#!/usr/bin/env python3
"""Repair symbols straight from the text of RFC 6330: slow, dense, and sharing nothing with the crate's code.

Solves the constraint matrix of section 5.3.3.4.2 by plain Gaussian elimination over all of it, with the HDPC rows as
the matrix product MT * GAMMA that section 5.3.3.3 defines. Only the tables of random numbers (section 5.5) and the
rows of Table 2 that are used are not computed here; the tables are read from the crate's source, whose tests compare
them with another implementation.

    python3 generate.py > rfc6330.txt

Each line: K, T, ESI, the symbol in hexadecimal. Octet i of a source block, counted from its start, is
(i * i * 31 + i * 7 + K + i // 256) mod 256.
"""

import re
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"


def constants():
    text = (SOURCE / "rand.rs").read_text()
    tables = [[int(n, 16) for n in re.findall(r"0x([0-9a-f]{8})", part)] for part in text.split("const V")[1:]]
    assert [len(table) for table in tables] == [256] * 4
    return tables


V = constants()

# RFC 6330, section 5.6, Table 2: K', J(K'), S(K'), H(K'), W(K').
TABLE_2 = [(10, 254, 7, 10, 17), (12, 630, 7, 10, 19), (18, 682, 11, 10, 29), (26, 80, 11, 10, 37),
           (32, 860, 11, 10, 43), (55, 520, 13, 10, 67), (101, 562, 17, 10, 113)]

EXP = []
value = 1
for _ in range(255):
    EXP.append(value)
    value <<= 1
    if value & 0x100:
        value ^= 0x11D
LOG = {octet: power for power, octet in enumerate(EXP)}


def times(a, b):
    return 0 if a == 0 or b == 0 else EXP[(LOG[a] + LOG[b]) % 255]


def rand(y, i, m):  # 5.3.5.1
    x = [(y // 256 ** n + i) % 256 for n in range(4)]
    return (V[0][x[0]] ^ V[1][x[1]] ^ V[2][x[2]] ^ V[3][x[3]]) % m


F = [0, 5243, 529531, 704294, 791675, 844104, 879057, 904023, 922747, 937311, 948962, 958494, 966438, 973160, 978921,
     983914, 988283, 992138, 995565, 998631, 1001391, 1003887, 1006157, 1008229, 1010129, 1011876, 1013490, 1014983,
     1016370, 1017662, 1048576]


class Code:
    def __init__(self, k):
        self.k = k
        self.kp, self.j, self.s, self.h, self.w = next(row for row in TABLE_2 if row[0] >= k)
        self.l = self.kp + self.s + self.h
        self.p = self.l - self.w
        self.p1 = next(n for n in range(self.p, 2 * self.p) if all(n % d for d in range(2, n)))

    def deg(self, v):  # 5.3.5.2
        d = next(d for d in range(1, 31) if F[d - 1] <= v < F[d])
        return min(d, self.w - 2)

    def tuple(self, x):  # 5.3.5.4
        a = 53591 + self.j * 997
        if a % 2 == 0:
            a += 1
        y = (10267 * (self.j + 1) + x * a) % 2 ** 32
        d = self.deg(rand(y, 0, 2 ** 20))
        d1 = 2 + rand(x, 3, 2) if d < 4 else 2
        return (d, 1 + rand(y, 1, self.w - 1), rand(y, 2, self.w), d1, 1 + rand(x, 4, self.p1 - 1),
                rand(x, 5, self.p1))

    def enc_row(self, x):  # 5.3.5.3
        d, a, b, d1, a1, b1 = self.tuple(x)
        row = [0] * self.l
        row[b] ^= 1
        for _ in range(1, d):
            b = (b + a) % self.w
            row[b] ^= 1
        while b1 >= self.p:
            b1 = (b1 + a1) % self.p1
        row[self.w + b1] ^= 1
        for _ in range(1, d1):
            b1 = (b1 + a1) % self.p1
            while b1 >= self.p:
                b1 = (b1 + a1) % self.p1
            row[self.w + b1] ^= 1
        return row

    def matrix(self):  # 5.3.3.4.2
        rows = [[0] * self.l for _ in range(self.s)]
        b = self.w - self.s
        for i in range(b):  # 5.3.3.3
            a = 1 + i // self.s
            for n in range(3):
                rows[(i + n * a) % self.s][i] ^= 1
        for i in range(self.s):
            rows[i][b + i] ^= 1
            rows[i][self.w + i % self.p] ^= 1
            rows[i][self.w + (i + 1) % self.p] ^= 1
        n = self.kp + self.s
        mt = [[0] * n for _ in range(self.h)]
        for column in range(n - 1):
            first = rand(column + 1, 6, self.h)
            second = (first + rand(column + 1, 7, self.h - 1) + 1) % self.h
            mt[first][column] = mt[second][column] = 1
        for row in range(self.h):
            mt[row][n - 1] = EXP[row % 255]
        for row in range(self.h):
            product = [0] * self.l
            for column in range(n):
                for i in range(column, n):  # GAMMA[i][column] = alpha ^^ (i - column)
                    product[column] ^= times(mt[row][i], EXP[(i - column) % 255])
            product[n + row] = 1
            rows.append(product)
        return rows + [self.enc_row(x) for x in range(self.kp)]

    def intermediate(self, source, t):
        rows = self.matrix()
        values = [bytes(t)] * (self.s + self.h) + source + [bytes(t)] * (self.kp - self.k)
        rows = [row + list(symbol) for row, symbol in zip(rows, values)]
        for column in range(self.l):
            pivot = next(r for r in range(column, self.l) if rows[r][column])
            rows[column], rows[pivot] = rows[pivot], rows[column]
            inverse = EXP[-LOG[rows[column][column]] % 255]
            rows[column] = [times(inverse, octet) for octet in rows[column]]
            for r in range(self.l):
                factor = rows[r][column]
                if r != column and factor:
                    rows[r] = [own ^ times(factor, octet) for own, octet in zip(rows[r], rows[column])]
        return [row[self.l:] for row in rows]

    def symbol(self, intermediate, esi):
        isi = esi if esi < self.k else esi + self.kp - self.k
        total = [0] * len(intermediate[0])
        for index, bit in enumerate(self.enc_row(isi)):
            if bit:
                total = [a ^ b for a, b in zip(total, intermediate[index])]
        return bytes(total)


def main():
    for k, t in [(1, 3), (9, 16), (10, 5), (12, 7), (17, 1), (26, 33), (31, 8), (50, 4), (101, 6)]:
        code = Code(k)
        block = bytes((i * i * 31 + i * 7 + k + (i >> 8)) % 256 for i in range(k * t))
        source = [block[i * t:(i + 1) * t] for i in range(k)]
        intermediate = code.intermediate(source, t)
        assert all(code.symbol(intermediate, esi) == source[esi] for esi in range(k)), "the code is systematic"
        for esi in [*range(k, k + 8), k + 100, 65_535, 65_536, 1_000_003, 2 ** 24 - 2, 2 ** 24 - 1]:
            print(k, t, esi, code.symbol(intermediate, esi).hex())


main()
