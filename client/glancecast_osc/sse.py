"""Server-Sent Events (HTML Living Standard, 9.2.6) as values. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

# Bytes of an event: `finished` of 10 000 hosts has 2 MB. A longer one ends the stream.
EVENT_BYTES_MAX = 16 << 20


class Malformed(ValueError):
    """The stream is none of the controller's."""


@dataclass(frozen=True)
class Event:
    """An event: its number (`None` for one without), its kind, its members."""

    number: int | None
    kind: str
    body: dict[str, Any]


def parse(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Yields the events of a stream. What is not complete at its end is dropped, as the standard says."""
    number: int | None = None
    kind, data, size = '', [], 0
    for line in _lines(chunks):
        size += len(line)
        if size > EVENT_BYTES_MAX:
            raise Malformed(f'an event has more than {EVENT_BYTES_MAX} bytes')
        if not line:
            if data:
                yield Event(number, kind or 'message', _members('\n'.join(data)))
            number, kind, data, size = None, '', [], 0
            continue
        name, _, value = line.decode('utf-8', 'replace').partition(':')
        value = value.removeprefix(' ')
        if name == 'data':
            data.append(value)
        elif name == 'event':
            kind = value
        elif name == 'id' and value.isascii() and value.isdigit():
            number = int(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields whole lines, which end with LF or CR LF."""
    parts: list[bytes] = []
    length = 0
    for chunk in chunks:
        *whole, rest = chunk.split(b'\n')
        for end in whole:
            yield b''.join([*parts, end]).removesuffix(b'\r')
            parts, length = [], 0
        parts.append(rest)
        length += len(rest)
        if length > EVENT_BYTES_MAX:
            raise Malformed(f'a line has more than {EVENT_BYTES_MAX} bytes')


def _members(data: str) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError as error:
        raise Malformed(f'the data of an event is not JSON: {error}') from error
    if not isinstance(body, dict):
        raise Malformed('the data of an event is no object')
    return body
