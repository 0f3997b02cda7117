"""Progress of a push on standard error: one line on a terminal, else a line now and then."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any, TextIO

from glancecast_osc.sse import Event

# Seconds between two lines of progress where there is no terminal.
LINE_SECONDS = 10.0
# Hosts whose failures get a line of their own. `image push hosts` has all of them.
FAILURES_MAX = 20


class Progress:
    """Writes what happens to a push. Standard output is left to the result."""

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self._is_terminal = out.isatty()
        self._names: dict[int, str] = {}
        self._status: str | None = None
        self._written: float | None = None
        self._failures = 0
        self._is_open = False

    def event(self, event: Event) -> None:
        """Writes what an event tells. Kinds that are not known are passed over."""
        body = event.body
        if event.kind == 'status':
            self._change(body)
        elif event.kind == 'progress':
            self._progress(self._name(body.get('image')), body)
        elif event.kind == 'host' and body.get('state') == 'failed':
            self._failure(body)
        elif event.kind == 'finished':
            self._line(finished(self._name(body.get('image')), body))

    def push(self, push: dict[str, Any]) -> None:
        """Writes what a look at the push tells."""
        images = push.get('images') or []
        self._names = {at: image.get('name') or image.get('reference') for at, image in enumerate(images)}
        self._change(push)
        for at, image in enumerate(images):
            if image.get('status') == 'running' and isinstance(image.get('progress'), dict):
                self._progress(self._name(at), image['progress'])

    def end(self) -> None:
        """Ends the line that is open on a terminal."""
        if self._is_open:
            self._out.write('\n')
            self._out.flush()
            self._is_open = False

    def _name(self, at: Any) -> str:
        return self._names.get(at) or f'image {at}'

    def _change(self, body: dict[str, Any]) -> None:
        status = body.get('status')
        if status != self._status:
            self._status = status
            self._line(f'{status}: {body["reason"]}' if body.get('reason') else str(status))

    def _failure(self, body: dict[str, Any]) -> None:
        self._failures += 1
        if self._failures <= FAILURES_MAX:
            self._line(f'{body.get("host")} failed: {body.get("reason") or body.get("cause")}')
        elif self._failures == FAILURES_MAX + 1:
            self._line('more hosts failed: openstack image push hosts has all of them')

    def _progress(self, name: str, body: dict[str, Any]) -> None:
        text = running(name, body)
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            self._out.write(f'\r\x1b[K{text[:width]}')
            self._out.flush()
            self._is_open = True
        elif self._written is None or self._now() - self._written >= LINE_SECONDS:
            self._written = self._now()
            self._line(text)

    def _line(self, text: str) -> None:
        if self._is_open:
            self._out.write('\r\x1b[K')
            self._is_open = False
        self._out.write(f'{printable(text)}\n')
        self._out.flush()


def running(name: str, body: dict[str, Any]) -> str:
    """Returns a `progress` event as a line; what it lacks is left out."""
    parts = []
    if isinstance(body.get('percent'), (int, float)):
        parts.append(f'{body["percent"]:.0f} %')
    if body.get('phase'):
        parts.append(str(body['phase']))
    if isinstance(body.get('rate_bits_per_second'), (int, float)) and body['rate_bits_per_second'] > 0:
        parts.append(rate(body['rate_bits_per_second']))
    hosts = body.get('hosts')
    if isinstance(hosts, dict):
        counts = [f'{count} {state}' for state, count in hosts.items() if isinstance(count, int) and count]
        parts += [f'hosts: {", ".join(counts)}'] if counts else []
    if isinstance(body.get('eta_seconds'), (int, float)):
        parts.append(f'{body["eta_seconds"]:.0f} s left')
    return printable(f'{name}: {", ".join(parts)}')


def finished(name: str, body: dict[str, Any]) -> str:
    """Returns a `finished` event as a line."""
    if 'plan' in body:
        return f'{name}: planned'
    text = f'{name}: {body.get("outcome")}'
    if isinstance(body.get('holding'), int):
        expected = body.get('expected')
        of = f' of {expected}' if isinstance(expected, int) else ''
        text += f', {body["holding"]}{of} hosts hold it'
    return f'{text}: {body["reason"]}' if body.get('reason') else text


def rate(bits: float) -> str:
    """Returns a rate in the unit that suits it."""
    for unit, size in (('Gbit/s', 1e9), ('Mbit/s', 1e6)):
        if bits >= size:
            return f'{bits / size:.1f} {unit}'
    return f'{bits / 1e3:.0f} kbit/s'


def printable(text: str) -> str:
    """Returns a text without characters that a terminal would obey: names come from images and hosts."""
    return ''.join(c if c.isprintable() else '?' for c in text)
