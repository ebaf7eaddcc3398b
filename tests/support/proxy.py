"""A network that can fail, between a client and a server of this machine."""

import contextlib
import random
import socket
import threading
import time

GOOD, SLOW, CUT_OFF = "is good", "is slow", "is cut off"
CUTS, LOSES = "cuts answers", "loses answers"
MODES = (SLOW, CUT_OFF, CUTS, LOSES)
SLOWEST = 0.3  # seconds


class Proxy:
    """Passes on what comes, in the way of its `mode`, which may be set at any time.

    Args:
        to: host and port of the server.

    * good: at once.
    * slow: late, by up to 0.3 s.
    * cut off: not before this mode has ended, as packets that are sent again and again: a request
      arrives, or is answered, when whoever made it has long given up.
    * cuts answers: of an answer the first half arrives, and the connection is reset.
    * loses answers: the request arrives, and the connection is reset in place of the answer.
    """

    def __init__(self, to, seed=0):
        self.mode, self._to, self._dice = GOOD, to, random.Random(seed)
        self._changed, self._sockets = threading.Condition(), set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def become(self, mode):
        with self._changed:
            self.mode = mode
            self._changed.notify_all()

    def close(self):
        self.become(GOOD)
        for each in (self._listening, *self._sockets):
            _reset(each)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._while_cut_off()
                try:
                    server = socket.create_connection(self._to, 5)
                except OSError:
                    _reset(client)
                    continue
                self._sockets |= {client, server}
                for source, sink, answers in ((client, server, False), (server, client, True)):
                    arguments = (source, sink, answers)
                    threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source, sink, answers):
        """Pass on one direction of a connection, until it ends."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._while_cut_off()
                if self.mode == SLOW:
                    time.sleep(self._dice.uniform(0, SLOWEST))
                if answers and self.mode in (CUTS, LOSES) and self._dice.random() < 0.5:
                    sink.sendall(data[: len(data) // 2] if self.mode == CUTS else b"")
                    break
                sink.sendall(data)
        for each in (source, sink):
            _reset(each)
            self._sockets.discard(each)

    def _while_cut_off(self):
        with self._changed:
            self._changed.wait_for(lambda: self.mode != CUT_OFF)


def _reset(each):
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
