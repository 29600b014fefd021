"""A loopback server that sends any bytes, and responses that are endless or slow."""

import socket
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Self

HEAD = b"HTTP/1.1 200 OK\r\n"
Answer = Callable[[], Iterator[bytes]]


class RawServer:
    """Sends the pieces of `answer` to each connection, whatever is asked, until the client ends it."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.ended, self.connections, self.sent = answer, Event(), 0, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/x"

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self.ended.set()
        self.socket.close()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            Thread(target=self._respond, args=(connection,), daemon=True).start()

    def _respond(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(2**16)
            try:
                for piece in self.answer():
                    if self.ended.is_set():
                        return
                    connection.sendall(piece)
                    self.sent += len(piece)
            except OSError:
                return


def endless(piece: bytes, head: bytes = b"", wait: float = 0.0) -> Answer:
    """Send `head`, then `piece` again and again."""

    def answer() -> Iterator[bytes]:
        yield head
        while True:
            yield piece
            time.sleep(wait)

    return answer


SLOW: dict[str, Answer] = {
    "continue": endless(b"HTTP/1.1 100 Continue\r\n\r\n", wait=0.001),
    "slow status": endless(b"H", wait=0.05),
    "slow header": endless(b"a", HEAD + b"X-A: ", 0.05),
    "drip": endless(b"a", HEAD + b"Content-Length: 100000\r\n\r\n", 0.05),
    "drip without a length": endless(b"a", HEAD + b"\r\n", 0.05),
    "drip of chunks": endless(b"1\r\na\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 0.05),
}


ENDLESS: dict[str, Answer] = {
    "no length": endless(bytes(2**14), HEAD + b"\r\n"),
    "chunks": endless(b"4000\r\n" + bytes(2**14) + b"\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
    "length": endless(bytes(2**14), HEAD + b"Content-Length: 10000000000000\r\n\r\n"),
}
