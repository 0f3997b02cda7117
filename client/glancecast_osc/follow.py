"""Follows a push to its end: by its events, and by polling while there is no stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from glancecast_osc import sse
from glancecast_osc.errors import ApiError, Unreachable

# What a push stays in.
ENDS = frozenset({'done', 'partial', 'failed', 'cancelled'})
# Seconds between two looks at a push without a stream.
POLL_SECONDS = 2.0
# Seconds for which a controller that does not answer is asked again: another one takes over within 30 s.
PATIENCE_SECONDS = 120.0


class Source(Protocol):
    """What is asked: `glancecast_osc.api.Api`, or a test's."""

    def push(self, push_id: str) -> dict[str, Any]: ...

    def events(self, push_id: str, after: int) -> Any: ...


class Watcher(Protocol):
    """What is told."""

    def event(self, event: sse.Event) -> None: ...

    def push(self, push: dict[str, Any]) -> None: ...


def follow(
    source: Source,
    push_id: str,
    watcher: Watcher,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Returns a push when it has ended. Tells `watcher` each event, and each look at the push.

    A stream that breaks is resumed after its last event. An answer that may pass is waited for, PATIENCE_SECONDS at most.
    """
    last, heard = 0, now()
    while True:
        try:
            for event in source.events(push_id, last):
                heard = now()
                last = last if event.number is None else event.number
                watcher.event(event)
        except (Unreachable, sse.Malformed):
            # The push itself is asked next, and says whether the controller is there.
            pass
        except ApiError as error:
            # 404 and 401 are the push's own as well, and end the wait below.
            if error.status not in _NO_STREAM and not error.is_passing:
                raise
        try:
            push = source.push(push_id)
        except (Unreachable, ApiError) as error:
            is_passing = not isinstance(error, ApiError) or error.is_passing
            if not is_passing or now() - heard >= PATIENCE_SECONDS:
                raise
        else:
            heard = now()
            watcher.push(push)
            if push['status'] in ENDS:
                return push
        sleep(POLL_SECONDS)


# Answers of controllers and proxies that have the push, and no stream.
_NO_STREAM = (404, 405, 406, 501)
