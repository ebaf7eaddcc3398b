"""A proxy that understands MongoDB's messages, and interrupts one write, in whatever way.

Like `support.interrupted.Writes` it counts the writes, here those of all connections to a server.
"""

import contextlib
import socket
import struct
import threading

import bson

OP_MSG = 2013
CHECKSUM = 1  # the flag of a message with four bytes more at its end
WRITES = ("insert", "update", "delete", "findAndModify", "commitTransaction")

# What becomes of the write, and what its sender sees: `made` is whether it is.
DROPPED = "is dropped"  # not made, the connection breaks
LOST = "loses its answer"  # made, the connection breaks
CUT = "is answered by half"  # made, the connection breaks within the answer
LATE = "is answered late"  # made, and answered when the sender has given up
OVERTAKEN = "arrives late"  # not made before all is over: then it arrives all the same
ELECTED = "meets an election"  # not made, the server has stopped to be the primary
STEPPED_DOWN = "is made, and the primary steps down"
CONFLICT = "conflicts with another transaction"  # not made, the transaction is given up
UNREPLICATED = "is not known to the majority"  # made, on one member
BREAKS = (DROPPED, LOST, CUT, LATE, OVERTAKEN)
ANSWERS = (ELECTED, STEPPED_DOWN, CONFLICT, UNREPLICATED)
WAYS = (*BREAKS, *ANSWERS)
GIVEN_UP = (LATE, OVERTAKEN)  # which a sender with patience would wait for

RETRYABLE = ["RetryableWriteError"]
ERRORS = {
    ELECTED: (10107, "NotWritablePrimary", RETRYABLE),
    STEPPED_DOWN: (11602, "InterruptedDueToReplStateChange", RETRYABLE),
    CONFLICT: (112, "WriteConflict", ["TransientTransactionError"]),
}
UNKNOWN = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"}


class Message:
    """One message, as it is sent."""

    def __init__(self, data):
        self.data = data
        self.length, self.id, self.of, self.code = struct.unpack_from("<iiii", data)
        self.body = self._body() if self.code == OP_MSG else {}
        self.command = next(iter(self.body), None)

    def _body(self):
        size = struct.unpack_from("<i", self.data, 21)[0]
        return bson.decode(self.data[21 : 21 + size])

    @property
    def attempt(self):
        """What the driver repeats when it repeats a write by itself, or None."""
        session, number = self.body.get("lsid"), self.body.get("txnNumber")
        if session is None or number is None or self.command == "abortTransaction":
            return None
        return bytes(session["id"]), number, None if self.in_transaction else self.command

    @property
    def in_transaction(self):
        return self.body.get("autocommit") is False

    def with_body(self, body):
        """Return the same message with other contents."""
        return Message(message(self.id, self.of, body))


def message(id, of, body):
    content = struct.pack("<ib", 0, 0) + bson.encode(body)
    return struct.pack("<iiii", 16 + len(content), id, of, OP_MSG) + content


def refusal(code, name, labels=()):
    """Return what a server says that does not do what it is asked."""
    return {"ok": 0.0, "errmsg": name, "code": code, "codeName": name, "errorLabels": [*labels]}


class WireProxy:
    """Passes on messages, counts the writes, and interrupts the one that is to be.

    Args:
        to: host and port of the server.
    """

    def __init__(self, to):
        self._to, self._lock = to, threading.Lock()
        self._left, self._way, self._attempt, self._times = 0, None, None, 0
        self.interrupted = None  # the command
        self.refusals = 0  # in the last block of `refusing`
        self.writes = []  # the commands, since `interrupt`
        self._refused, self._held, self._sockets = {}, [], set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def interrupt(self, number, way, times=1_000_000):
        """Interrupt the write of this number, counted from now on.

        Args:
            times: how often, if the driver or its user makes the same attempt again.
        """
        with self._lock:
            self._left, self._way, self._attempt, self._times = number, way, None, times
            self.interrupted, self.writes = None, []

    def stop(self):
        """Interrupt nothing any more, and deliver what arrives late; return how many writes."""
        with self._lock:
            self._left, self._attempt, held, self._held = 0, None, self._held, []
        for deliver in held:
            deliver()
        return len(held)

    @contextlib.contextmanager
    def refusing(self, code, name, commands=WRITES):
        """Have the server refuse these commands, for the length of a block."""
        self.refusals = 0
        self._refused = dict.fromkeys(commands, refusal(code, name))
        try:
            yield
        finally:
            self._refused = {}

    def close(self):
        self.stop()
        for each in (self._listening, *list(self._sockets)):
            reset(each)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                try:
                    server = socket.create_connection(self._to, 5)
                except OSError:
                    reset(client)
                    continue
                server.settimeout(None)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.add(each)
                connection = _Connection(self, client, server)
                for pump in (connection.requests, connection.answers):
                    threading.Thread(target=pump, daemon=True).start()

    def way_of(self, request):
        """Count a write, and return in which way it is to be interrupted, or None."""
        if request.command not in WRITES:
            return None
        with self._lock:
            if self._attempt is not None and request.attempt == self._attempt:
                self._times -= 1
                return self._way if self._times > 0 else None
            self._left -= 1
            self.writes.append(request.command)
            if self._left != 0 or not applies(self._way, request):
                return None
            self.interrupted = request.command
            if not request.in_transaction or request.command == "commitTransaction":
                self._attempt = request.attempt
            return self._way

    def ask(self, *requests):
        """Have the server answer requests whose sender does not wait for it."""
        with socket.create_connection(self._to, 10) as server:
            for request in requests:
                server.sendall(request.data)
                received(server)

    def hold(self, deliver):
        """Keep something for the end."""
        with self._lock:
            self._held.append(deliver)

    def refused(self, request):
        answer = self._refused.get(request.command)
        self.refusals += answer is not None
        return answer


def applies(way, request):
    """Return whether a write can be interrupted in this way."""
    return way != CONFLICT or request.in_transaction


class _Connection:
    """One connection through the proxy: requests and answers take turns on it."""

    def __init__(self, proxy, client, server):
        self._proxy, self._client, self._server = proxy, client, server
        self._plans = {}  # by the request: what becomes of its answer

    def requests(self):
        with contextlib.suppress(OSError, EOFError):
            while request := received(self._client):
                if answer := self._proxy.refused(request):
                    self._client.sendall(message(0, request.id, answer))
                elif way := self._proxy.way_of(request):
                    self._interrupt(request, way)
                else:
                    self._server.sendall(request.data)
        reset(self._client, self._server)

    def answers(self):
        with contextlib.suppress(OSError, EOFError):
            while answer := received(self._server):
                plan = self._plans.pop(answer.of, None)
                if plan is None:
                    self._client.sendall(answer.data)
                elif plan(answer):
                    break
        reset(self._client, self._server)

    def _interrupt(self, request, way):
        if request.in_transaction and way in (DROPPED, OVERTAKEN, ELECTED):
            self._proxy.ask(given_up(request))  # as servers do after a minute, or at elections
        if way == DROPPED:
            raise EOFError
        if way == OVERTAKEN:
            self._overtaken(request)
            raise EOFError
        if way == ELECTED:
            self._client.sendall(message(0, request.id, refusal(*ERRORS[way])))
            return
        if way == CONFLICT:
            request = given_up(request)
        self._plans[request.id] = lambda answer: self._answer(answer, way)
        self._server.sendall(request.data)

    def _answer(self, answer, way):
        """Do with an answer what is to be done; return whether the connection breaks."""
        if way == CUT:
            self._client.sendall(answer.data[: len(answer.data) // 2])
        if way == LATE:
            wait_for_the_end(self._client)
        if way in BREAKS:
            return True
        if way == UNREPLICATED:
            body = {**answer.body, "writeConcernError": UNKNOWN}
        else:
            body = refusal(*ERRORS[way])
        self._client.sendall(answer.with_body(body).data)
        return False

    def _overtaken(self, request):
        """Deliver a request at the end of the test, by a connection whose client is long gone."""
        late = [request, given_up(request)] if request.in_transaction else [request]
        self._proxy.hold(lambda: self._proxy.ask(*late))
        wait_for_the_end(self._client)


def given_up(request):
    """Return a request by which the server gives up the transaction of this one."""
    kept = ("lsid", "txnNumber", "autocommit", "$db", "$clusterTime")
    body = {key: request.body[key] for key in kept if key in request.body}
    return request.with_body({"abortTransaction": 1, **body, "$db": "admin"})


def received(source):
    """Return the next message, or None at the end of the connection."""
    head = exactly(source, 4)
    if head is None:
        return None
    rest = exactly(source, struct.unpack("<i", head)[0] - 4)
    return None if rest is None else Message(head + rest)


def exactly(source, count):
    parts = []
    while count:
        part = source.recv(min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def wait_for_the_end(client):
    """Wait until a client has given up a connection on which it waits for an answer."""
    with contextlib.suppress(OSError):
        client.recv(1)


def reset(*sockets):
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
