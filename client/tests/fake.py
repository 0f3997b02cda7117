"""A controller that the tests make up: an HTTP server that answers as it is told, and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

REQUEST_ID = 'req-9f1b9c5e-6a4c-4b57-9f6c-0a8f3b6f2b11'


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    """An answer: JSON, or the parts of a stream; a stream that breaks ends without its last chunk."""

    status: int = 200
    body: Any = None
    stream: Iterable[str] | None = None
    breaks: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, code: str, detail: str, **headers: str) -> Answer:
    """Returns an error in both forms of the API."""
    error = {'request_id': REQUEST_ID, 'code': f'image-distribution.{code}', 'status': status, 'title': 'T', 'detail': detail}
    body = {'errors': [error], 'error': {'code': status, 'title': 'T', 'message': detail}}
    return Answer(status, body, headers=headers)


def event(number: int, kind: str, **body: Any) -> str:
    """Returns an event of a stream."""
    return f'id: {number}\nevent: {kind}\ndata: {json.dumps(body)}\n\n'


class Fake:
    """The server. `answers` has a list for each method and path, whose last answer stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[tuple[str, str], list[Answer | Callable[[Asked], Answer]]] = {}
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def _serve(self) -> None:
                length = int(self.headers.get('Content-Length') or 0)
                text = self.rfile.read(length)
                url = urlsplit(self.path)
                asked = Asked(
                    self.command, url.path, parse_qsl(url.query), dict(self.headers), json.loads(text) if text else None
                )
                _send(self, fake._answer(asked))

            do_GET = do_POST = do_PUT = do_DELETE = _serve

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f'http://127.0.0.1:{self._server.server_port}'

    def on(self, method: str, path: str, *answers: Answer | Callable[[Asked], Answer]) -> None:
        """Says what is answered, one time after the other."""
        self.answers[method, path] = list(answers)

    def requests(self, method: str, path: str) -> list[Asked]:
        """Returns what was asked of a path."""
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            answers = self.answers.get((asked.method, asked.path))
            if not answers:
                return refusal(404, 'no-such-path', f'There is nothing at {asked.path}.')
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer(asked) if callable(answer) else answer


def _send(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    handler.send_response(answer.status)
    for name, value in {'x-openstack-request-id': REQUEST_ID, **answer.headers}.items():
        handler.send_header(name, value)
    if answer.stream is not None:
        handler.send_header('Content-Type', 'text/event-stream')
        handler.send_header('Transfer-Encoding', 'chunked')
        handler.end_headers()
        for part in answer.stream:
            data = part.encode()
            handler.wfile.write(f'{len(data):x}\r\n'.encode() + data + b'\r\n')
        if answer.breaks:
            handler.close_connection = True
        else:
            handler.wfile.write(b'0\r\n\r\n')
        return
    data = b'' if answer.body is None else json.dumps(answer.body).encode()
    handler.send_header('Content-Type', 'application/json')
    if answer.status != 204:
        handler.send_header('Content-Length', str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
