"""A server of MongoDB that is not as it should be: it changes what a real one is asked or answers.

It stands between driver and server and reads the messages of the protocol, so that nothing of the
driver or of RocketJob is replaced:

    with Middleman(url, answer=lambda command, reply: {**reply, "maxWireVersion": 8}) as between:
        MongoStore(between.url("jobs"))

What it may change: the answer to a command (`answer`), or the command itself (`ask`), which may
also be answered without the server.
"""

import contextlib
import socket
import struct
import threading
from urllib.parse import urlsplit

import bson

HEADER = struct.Struct("<iiii")  # length, id, in answer to, kind
QUERY, REPLY, MESSAGE = 2004, 1, 2013
GREETINGS = ("hello", "isMaster", "ismaster")


class Answer(Exception):
    """Raised by `ask`: the command does not reach the server, this is its answer."""

    def __init__(self, **reply):
        super().__init__(reply)
        self.reply = reply


class Middleman:
    """A server on a port of its own.

    Args:
        url: of the real server.
        answer: takes a command and its answer, returns the answer to give.
        ask: takes a command and returns the one to pass on.
    """

    def __init__(self, url, answer=lambda command, reply: reply, ask=lambda command: command):
        parts = urlsplit(url)
        self._to, self._answer, self._ask = (parts.hostname, parts.port), answer, ask
        self._sockets = set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, database="", options="directConnection=true"):
        return f"mongodb://127.0.0.1:{self.port}/{database}?{options}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in (self._listening, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._to, 5)
                self._sockets |= {client, server}
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client, server):
        """Answer the commands of one connection, one after the other."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                self._serve_one(client, server, read(client))
        for each in (client, server):
            each.close()
            self._sockets.discard(each)

    def _serve_one(self, client, server, message):
        command, rebuild = parsed(message)
        try:
            asked = self._ask(command)
        except Answer as own:
            client.sendall(answer_to(message, {"ok": 1.0, **own.reply}))
            return
        server.sendall(rebuild(asked) if asked is not command else message)
        reply, rebuild = parsed(read(server))
        if name_of(command) in GREETINGS:
            reply.pop("topologyVersion", None)  # or the driver asks for several answers to one
        client.sendall(rebuild(self._answer(command, reply)))


def read(connection):
    """Return one message, whole."""
    start = read_exactly(connection, HEADER.size)
    return start + read_exactly(connection, HEADER.unpack(start)[0] - HEADER.size)


def read_exactly(connection, length):
    data = b""
    while len(data) < length:
        some = connection.recv(length - len(data))
        if not some:
            raise EOFError
        data += some
    return data


def parsed(message):
    """Return the document of a message, and what makes the message with another one."""
    _, id, to, kind = HEADER.unpack_from(message)
    start, end = bounds(message, kind)
    before, after = message[HEADER.size : start], message[end:]

    def rebuild(document):
        body = before + bson.encode(document) + after
        return HEADER.pack(HEADER.size + len(body), id, to, kind) + body

    return bson.decode(message[start:end], OPTIONS), rebuild


OPTIONS = bson.CodecOptions(tz_aware=True)


def bounds(message, kind):
    """Return where the document of a message begins and ends.

    A command may have its documents behind it, in sections of their own: they are passed on.
    """
    start = HEADER.size
    if kind == QUERY:  # how connections begin: flags, name, skip, number
        start = message.index(b"\0", start + 4) + 9
    elif kind == REPLY:  # flags, cursor, from, number
        start += 20
    else:  # flags, and that the first section is a document
        assert kind == MESSAGE and message[start + 4] == 0, "a message of an unknown kind"
        start += 5
    return start, start + struct.unpack_from("<i", message, start)[0]


def answer_to(message, document):
    """Return the message that answers another one with a document."""
    _, id, _, kind = HEADER.unpack_from(message)
    if kind == QUERY:
        body = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(document)
        return HEADER.pack(HEADER.size + len(body), 0, id, REPLY) + body
    body = struct.pack("<ib", 0, 0) + bson.encode(document)
    return HEADER.pack(HEADER.size + len(body), 0, id, MESSAGE) + body


# --- what servers do that they should not -------------------------------------------------------


def name_of(command):
    return next(iter(command))


def gives_to_two():
    """Return an `answer` that gives a document which was claimed to another claimer too."""
    given, lock = [], threading.Lock()

    def answer(command, reply):
        if name_of(command) != "findAndModify" or "update" not in command:
            return reply
        with lock:
            found = reply.get("value")
            if found is None and given:
                return {**reply, "value": given.pop()}  # somebody had it already
            given.extend([found] if found else [])
            return reply

    return answer


def forgets_what_is_claimed(token):
    """Return `answer` and `ask` of a server that is right about single documents, not of groups.

    Each second look shows what the one before saw, whatever has become of it; and a group that
    somebody has claimed belongs to whoever asks for it.

    Args:
        token: the field that tells one claim of a group from another.
    """
    seen, lock = [], threading.Lock()

    def ask(command):
        if name_of(command) == "find" and token in repr(command["filter"]):
            return {**command, "filter": {"_id": command["filter"]["_id"]}}
        return command

    def answer(command, reply):
        if command.get("update") == "rocket_job.jobs" and reply.get("n") == 0:
            return {**reply, "n": 1, "nModified": 1}
        is_look = name_of(command) == "find" and command.get("sort") and command.get("projection")
        if not is_look:
            return reply
        with lock:
            if seen:
                return seen.pop()
            seen.append(reply)
            return reply

    return {"answer": answer, "ask": ask}


def greets_with(**facts):
    """Return an `answer` whose greeting says something else of the server."""

    def answer(command, reply):
        return {**reply, **facts} if name_of(command) in GREETINGS else reply

    return answer


def clock_is_off(by):
    """Return an `answer` whose clock is off by a timedelta."""

    def answer(command, reply):
        if name_of(command) not in GREETINGS or "localTime" not in reply:
            return reply
        return {**reply, "localTime": reply["localTime"] + by}

    return answer


def user_may(*actions, database, collection=""):
    """Return an `answer` for a user who has these rights alone, and an `ask` that lets it in."""
    resource = {"db": database, "collection": collection}
    rights = [{"resource": resource, "actions": list(actions)}]
    users = [{"user": "me", "db": "admin"}]
    told = {"authenticatedUsers": users, "authenticatedUserPrivileges": rights}

    def answer(command, reply):
        return {"ok": 1.0, "authInfo": told} if name_of(command) == "connectionStatus" else reply

    return answer


def refuses_passwords(command):
    """An `ask` for which no password is right."""
    if name_of(command) == "saslStart":
        raise Answer(ok=0.0, code=18, codeName="AuthenticationFailed", errmsg="bad password")
    return command
