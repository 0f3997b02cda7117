"""Requests to the controller: addresses, pages, errors."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import requests
from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ksa_exceptions

from glancecast_osc import sse
from glancecast_osc.errors import ApiError, NoEndpoint, Unreachable

SERVICE_TYPE = 'image-distribution'

# Rows of a page: the API has no larger ones.
PAGE_ROWS_MAX = 1000
# Seconds until a connection stands, and between two bytes of an answer. The API answers within 30 s.
TIMEOUT = (10, 60)
# Seconds between two bytes of a stream of events. The API sends a comment every 15 s.
STREAM_TIMEOUT = (10, 45)

Query = Sequence[tuple[str, str]]


class Api:
    """The API of a controller, version 1."""

    def __init__(self, http: adapter.Adapter) -> None:
        self._http = http
        self._base: str | None = None

    def get(self, path: str, query: Query = ()) -> dict[str, Any]:
        """Returns the object at a path."""
        return self._object(self._send('GET', path, params=list(query)))

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Sends an object to a path, and returns the answer."""
        return self._object(self._send('POST', path, json=body) if body else self._send('POST', path))

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Replaces the object at a path, and returns the answer."""
        return self._object(self._send('PUT', path, json=body))

    def delete(self, path: str) -> dict[str, Any]:
        """Deletes what is at a path, and returns the answer, which may be empty."""
        return self._object(self._send('DELETE', path))

    def create_push(self, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """Asks for a push and returns it.

        The same key makes one push, however often the request is sent; without one, it is sent again only if the
        connection breaks.
        """
        headers = {'Idempotency-Key': key or str(uuid.uuid4())}
        answer = self._send('POST', '/v1/pushes', json=body, headers=headers, connect_retries=CONNECT_RETRIES)
        return member(self._object(answer), 'push')

    def push(self, push_id: str) -> dict[str, Any]:
        """Returns a push."""
        return member(self.get(f'/v1/pushes/{part(push_id)}'), 'push')

    def rows(
        self, path: str, name: str, query: Query = (), *, limit: int | None = None, marker: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yields the rows of a list after `marker`, at most `limit` of them, page by page."""
        left = limit
        parts = list(query) + ([('marker', marker)] if marker else [])
        while left is None or left > 0:
            rows = PAGE_ROWS_MAX if left is None else min(left, PAGE_ROWS_MAX)
            page = self.get(path, [('limit', str(rows)), *parts])
            found = member(page, name)
            yield from found
            left = None if left is None else left - len(found)
            following = _next_marker(page.get(f'{name}_links'))
            if following is None or not found:
                return
            parts = [*query, ('marker', following)]

    def events(self, push_id: str, after: int) -> Iterator[sse.Event]:
        """Yields the events of a push with numbers above `after`, until the push or the stream ends.

        Raises ApiError before the first event, and Unreachable whenever the connection breaks.
        """
        headers = {'Accept': 'text/event-stream', 'Last-Event-ID': str(after)}
        path = f'/v1/pushes/{part(push_id)}/events'
        answer = self._send('GET', path, headers=headers, stream=True, timeout=STREAM_TIMEOUT)
        with answer:
            if answer.status_code == 204:
                return
            try:
                # The chunks of a chunked body come as they are sent; of any other body, single bytes.
                size = None if getattr(answer.raw, 'chunked', False) else 1
                yield from sse.parse(answer.iter_content(chunk_size=size))
            except requests.RequestException as error:
                raise Unreachable(f'the stream of events broke: {error}') from error

    def _object(self, answer: requests.Response) -> dict[str, Any]:
        if answer.status_code == 204 or not answer.content:
            return {}
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Unreachable(f'{answer.url} answers with something other than a JSON object: is it the controller?')
        return body

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        arguments.setdefault('timeout', TIMEOUT)
        base = self._endpoint()
        try:
            answer = self._http.request(
                f'{base}{path}', method, raise_exc=False, redirect=False, **arguments
            )
        except ksa_exceptions.ConnectFailure as error:
            raise Unreachable(
                f'The controller does not answer: {error}. Its address is {base}, from the service catalog or'
                ' --os-image-distribution-endpoint.'
            ) from error
        if answer.status_code >= 300:
            with answer:
                raise ApiError(answer)
        return answer

    def _endpoint(self) -> str:
        """Returns what the paths are added to. An endpoint may be registered with or without `/v1`."""
        if self._base is None:
            try:
                url = self._http.endpoint_override or self._http.get_endpoint()
            except ksa_exceptions.CatalogException:
                url = None
            if not url:
                raise NoEndpoint(
                    f'The service catalog has no endpoint of type {SERVICE_TYPE}: give'
                    ' --os-image-distribution-endpoint.'
                )
            self._base = url.rstrip('/').removesuffix('/v1').rstrip('/')
        return self._base


def member(body: dict[str, Any], name: str) -> Any:
    """Returns a member that every answer of the controller has."""
    if name not in body:
        raise Unreachable(f'The answer has no {name!r}: is the address that of glancecast-controller?')
    return body[name]


def part(text: str) -> str:
    """Returns a text as one part of a path."""
    return quote(text, safe='')


def _next_marker(links: Any) -> str | None:
    """Returns the marker in the link to the next page. Its host is not used: behind a proxy it may be another one."""
    for link in links or []:
        if link.get('rel') == 'next':
            return dict(parse_qsl(urlsplit(link['href']).query)).get('marker')
    return None


# Times that a request with an Idempotency-Key is sent again after a broken connection.
CONNECT_RETRIES = 2
