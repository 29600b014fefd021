"""Limits on what a service may send: seconds until it responds, bytes per time, bytes in all."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread
from typing import Any, NamedTuple

import requests
import urllib3
from requests.adapters import HTTPAdapter

TIMEOUT_SECONDS = (20, 60)  # to connect, and between two pieces of a response
REPEAT_SECONDS = 0.2
MAX_JSON_BYTES = 2**22  # 4 MiB, of a body that is read whole


class Limits(NamedTuple):
    """What a response may take.

    Attributes:
        response_seconds: until the status and all headers have arrived, with any `100 Continue` before them.
        window_bytes, window_seconds: so many bytes of the body must arrive in each period of so many seconds.
        max_bytes: of the whole body, after decompression; MAX_JSON_BYTES if it is read whole, without `stream`.
    """

    response_seconds: float
    window_bytes: int
    window_seconds: float
    max_bytes: int


class SlowServiceError(Exception):
    """A response took too long. No `requests.RequestException`: Kaggle's client would catch it and go on."""


class TooLargeError(Exception):
    """A body is too large."""


class LimitedAdapter(HTTPAdapter):
    """Sends one request at a time, and ends its connection when a limit is exceeded.

    A timeout of a socket does not bound a response: each byte, header or `100 Continue` starts it again.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sockets: list[socket.socket] = []
        self._deadline: _Deadline | None = None
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make the pools of connections, and keep their sockets."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _make_pools(self._sockets)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Do the same for connections by way of a proxy."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _make_pools(self._sockets)
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request; return its response when the headers have arrived."""
        options["timeout"] = options.get("timeout") or TIMEOUT_SECONDS
        if self._deadline:
            self._deadline.stop()
        deadline = self._deadline = _Deadline(self._limits.response_seconds, self._end_connections)
        slow = f"did not respond within {self._limits.response_seconds:g} s"
        try:
            response = super().send(request, *args, **options)
        except Exception:
            deadline.stop()
            if deadline.expired:
                raise SlowServiceError(slow) from None
            raise
        if deadline.expired:  # the headers ended with the connection
            raise SlowServiceError(slow)
        deadline.extend(self._limits.window_seconds)
        stream = response.raw.stream
        raw: Any = response.raw
        max_bytes = self._limits.max_bytes if options.get("stream") else MAX_JSON_BYTES
        raw.stream = lambda *args, **options: self._limit(stream(*args, **options), deadline, max_bytes)
        return response

    def _limit(self, body: Iterator[bytes], deadline: "_Deadline", max_bytes: int) -> Iterator[bytes]:
        limits, received, counted = self._limits, 0, 0
        slow = f"sent less than {limits.window_bytes:,} bytes in {limits.window_seconds:g} s"
        try:
            for chunk in body:
                received += len(chunk)
                if received > max_bytes:
                    raise TooLargeError(f"sent more than {max_bytes:,} bytes")
                if received - counted >= limits.window_bytes:
                    deadline.extend(limits.window_seconds)
                    counted = received
                yield chunk
        except (urllib3.exceptions.HTTPError, OSError):
            if deadline.expired:
                raise SlowServiceError(slow) from None
            raise
        finally:
            deadline.stop()
        if deadline.expired:  # without a length, a body may end anywhere
            raise SlowServiceError(slow)

    def _end_connections(self) -> None:
        for connection in self._sockets:
            with suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)


class _Deadline:
    """Calls `action` in a thread when the time is over, again and again until it is stopped.

    Once would not be enough: a connection that is opened at this moment cannot be ended yet.
    """

    def __init__(self, seconds: float, action: Callable[[], None]) -> None:
        self._action, self._stopped, self.expired = action, Event(), False
        self.extend(seconds)
        Thread(target=self._wait, daemon=True).start()

    def extend(self, seconds: float) -> None:
        """Let the time be over in so many seconds from now."""
        self._end = time.monotonic() + seconds

    def stop(self) -> None:
        """Do not call the action any more."""
        self._stopped.set()

    def _wait(self) -> None:
        while (seconds := self._end - time.monotonic()) > 0:
            if self._stopped.wait(seconds):
                return
        self.expired = True
        self._action()
        while not self._stopped.wait(REPEAT_SECONDS):
            self._action()


def _make_pools(sockets: list[socket.socket]) -> dict[str, Any]:
    """Return urllib3's classes of pools by scheme, with connections that add a duplicate of their socket to a list.

    A duplicate ends the same connection, and remains valid when TLS takes the socket over.
    """

    def open_socket(connection: Any) -> socket.socket:
        opened: socket.socket = super(type(connection), connection)._new_conn()
        sockets.append(opened.dup())
        return opened

    pools: dict[str, Any] = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}
    classes = {}
    for scheme, pool in pools.items():
        connection = type("_Connection", (pool.ConnectionCls,), {"_new_conn": open_socket})
        classes[scheme] = type("_Pool", (pool,), {"ConnectionCls": connection})
    return classes
