"""A server in the store: its name, and the heartbeat by which the others see that it lives."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.base.errors import ConfigurationError, is_duplicate_key
from rocketjob.base.log import Logger
from rocketjob.server.recovery import Recovery
from rocketjob.server.server import MISSED_BEATS, Server

log = Logger("rocketjob.registration")
NAME_TRIES = 5


class Registration:
    """One server's document.

    Args:
        server: the document, with the name that is wanted.
        recovery: which takes back the work of the last server of that name, if that died.
        stopping: ends the watching of another server of that name.
    """

    def __init__(
        self, config: Config, server: Server, recovery: Recovery, stopping: threading.Event
    ) -> None:
        self.config, self.server = config, server
        self._recovery, self._stopping = recovery, stopping
        self._has_left = False
        self.drain: Mapping[str, Any] = {}  # as it was last seen in the document, if it is drained

    def enter(self) -> None:
        """Store the document.

        Raises:
            ConfigurationError: another living server has the name.
        """
        name = self.server.name
        for attempt in range(1, NAME_TRIES + 1):
            try:
                self.server.save()
                return
            except Exception as error:
                if not is_duplicate_key(error) or attempt == NAME_TRIES:
                    raise
            self._make_way(name)  # but another one that starts may be quicker to take the name

    def _make_way(self, name: str) -> None:
        """Bury who has the name if it died; else choose another, or refuse one that was given."""
        for other in Server.where(name=name):
            is_gone = other.is_gone()
            if not is_gone and not self.config.name:
                self.server.name = f"{name}:{self.server.incarnation[:4]}"
            elif is_gone or self._is_silent(other):
                log.warning("the last server of this name died", name=name, pid=other.pid)
                self._recovery.bury(other.to_document())
            else:
                raise ConfigurationError(
                    f"A server called {name} is running already (process {other.pid} on "
                    f"{other.host}). Choose another --name, or end that one: "
                    f"rocketjob servers stop {name}"
                )

    def _is_silent(self, other: Server) -> bool:
        """Watch another server for as long as it takes to know whether it is dead.

        Nothing else tells: in a container the next start has the host and the pid of the last.
        """
        seconds = MISSED_BEATS * other.heartbeat_seconds
        log.warning(
            "a server of this name is registered: watching whether it lives",
            name=other.name,
            host=other.host,
            pid=other.pid,
            seconds=seconds,
        )
        deadline = clock.monotonic() + seconds
        while clock.monotonic() < deadline and not self._stopping.is_set():
            stored = Server.collection().find_one({"_id": other.id})
            if stored is None:
                return True
            if stored["heartbeat"]["number"] != (other.heartbeat or {}).get("number"):
                return False
            self._stopping.wait(min(0.5, other.heartbeat_seconds / 4))
        return not self._stopping.is_set()

    def beat(self, beat: dict[str, Any], state: str) -> None:
        """Say that the server lives.

        Args:
            state: the server's, in case the others have declared it dead.
        """
        result = Server.collection().update_one(
            {"_id": self.server.id}, {"$set": {"heartbeat": beat}}
        )
        if not result.matched_count and not self._has_left:
            self._come_back(beat, state)

    def _come_back(self, beat: dict[str, Any], state: str) -> None:
        """Register again, after the others took this server for dead and its work away.

        Its old claims are lost for good, since every write names the claim's number.
        """
        log.error("this server was taken for dead; its work went to others", name=self.server.name)
        stored = {**self.server.to_document(), "heartbeat": beat, "state": state}
        if state == "paused":
            stored |= self.drain
        stored["started_at"] = clock.now()
        try:
            Server.collection().insert_one(stored)
        except Exception as error:
            if not is_duplicate_key(error):
                raise
            # A successor has the name by now. Names are for people; claims go by the incarnation.
            self.server.name = f"{self.server.name}:{self.server.incarnation[:4]}"
            Server.collection().insert_one({**stored, "name": self.server.name})

    def leave(self) -> None:
        """Remove the document; a beat that is under way does not bring it back."""
        self._has_left = True
        self.server.delete()
