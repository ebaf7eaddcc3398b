"""The commands that all processes of a deployment send to a MongoDB server, heard on the way."""

import contextlib
import socket
import struct
import threading
from collections import Counter
from typing import NamedTuple

import bson

HEADER = struct.Struct("<iiii")  # length, request, answer to, opcode
OP_MSG = 2013
OF_THE_DRIVER = {"hello", "isMaster", "ismaster", "ping", "endSessions"}


class Heard(NamedTuple):
    command: str
    collection: str


class Overheard:
    """Passes on what comes to a server, and notes each command.

    What the driver sends by itself, to see whether the server lives, is not noted: that does not
    depend on what a program does.

    Args:
        to: host and port of the server.
    """

    def __init__(self, to):
        self._to, self._heard = to, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listening]
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self):
        """Return the commands since the last call."""
        heard, self._heard = self._heard, []
        return heard

    def counted(self):
        """Count those, by command and collection."""
        return Counter(self.taken())

    def close(self):
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._to, 5)
                server.settimeout(None)
                self._sockets += [client, server]
                for pump in (self._pass_on, self._answer):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _pass_on(self, client, server):
        with contextlib.suppress(OSError), client.makefile("rb") as coming:
            while len(head := coming.read(HEADER.size)) == HEADER.size:
                length, _, _, opcode = HEADER.unpack(head)
                message = coming.read(length - HEADER.size)
                if opcode == OP_MSG:
                    self._note(message)
                server.sendall(head + message)
        _end(server)

    def _note(self, message):
        place = 4  # behind the flags
        while message[place] != 0:  # a sequence of documents: the command is in the other section
            place += 1 + struct.unpack_from("<i", message, place + 1)[0]
        size = struct.unpack_from("<i", message, place + 1)[0]
        command = bson.decode(message[place + 1 : place + 1 + size])
        name = next(iter(command))
        if name not in OF_THE_DRIVER:
            collection = command.get("collection") if name == "getMore" else command[name]
            self._heard.append(Heard(name, str(collection)))

    def _answer(self, client, server):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
        _end(client)


def _end(each):
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
