"""An observer between a client and the app's API, on plain sockets, in a process of its own.

    python -m benchmarks.relay 8501

Prints its own port, and then a line of JSON for each request: the seconds from its first byte until
the first text of the answer has passed, and until the answer has ended.
"""

import json
import re
import socket
import sys
import threading
import time

FIRST_TEXT = re.compile(rb'"content":"(?!")')  # of a frame, or of a whole answer
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def main() -> None:
    app = int(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        print(port, flush=True)
        while True:
            client, _ = listening.accept()
            threading.Thread(target=relay, args=(client, port, app), daemon=True).start()


def relay(client: socket.socket, port: int, app: int) -> None:
    """Pass the requests of one connection on, under the app's own name."""
    server = socket.create_connection(("127.0.0.1", app))
    for each in (client, server):
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with client, server:
        while request := client.recv(65536):
            began = time.perf_counter()
            while not complete(request):
                request += client.recv(65536)
            server.sendall(request.replace(b":%d\r\n" % port, b":%d\r\n" % app, 1))
            answer, first = b"", 0.0
            while not complete(answer):
                part = server.recv(65536)
                if not part:
                    return
                client.sendall(part)
                answer += part
                if not first and FIRST_TEXT.search(answer):
                    first = time.perf_counter() - began
            print(json.dumps({"first": first, "last": time.perf_counter() - began}), flush=True)


def complete(message: bytes) -> bool:
    """Whether a request or an answer has arrived whole."""
    head, blank, body = message.partition(b"\r\n\r\n")
    if not blank:
        return False
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    found = LENGTH.search(head)
    return len(body) >= (int(found[1]) if found else 0)


if __name__ == "__main__":
    main()
