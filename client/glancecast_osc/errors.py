"""Errors of the API as sentences."""

from __future__ import annotations

from typing import Any

import requests
from osc_lib import exceptions


class ApiError(exceptions.CommandError):
    """The controller has refused a request.

    `status` is the HTTP status, `code` the word for programs without its prefix, `request_id` the id in the controller's log.
    """

    def __init__(self, response: requests.Response) -> None:
        first = _first(response)
        self.status = response.status_code
        self.code = str(first.get('code') or '').removeprefix('image-distribution.')
        self.request_id = response.headers.get('x-openstack-request-id')
        detail = first.get('detail') or first.get('message') or first.get('title') or response.reason
        marks = [f'HTTP {self.status}', first.get('code'), self.request_id]
        super().__init__(f'{detail} ({", ".join(str(mark) for mark in marks if mark)})')

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (502, 503, 504)


class Unreachable(exceptions.CommandError):
    """The controller does not answer, or something else does."""


class NoEndpoint(exceptions.CommandError):
    """Nothing says where the controller is."""


def _first(response: requests.Response) -> dict[str, Any]:
    """Returns the members of the first error of a body: the API-SIG's form, else keystoneauth's, else none."""
    try:
        body = response.json()
    except ValueError:
        return {}
    if not isinstance(body, dict):
        return {}
    errors = body.get('errors')
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return errors[0]
    error = body.get('error')
    return error if isinstance(error, dict) else {}
