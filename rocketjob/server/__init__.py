"""A server: worker processes, their supervisor, its heartbeat, and recovery of what others left."""

from rocketjob.base.deprecation import moved

__getattr__ = moved(
    __name__,
    {name: "rocketjob.server.server" for name in ("COLLECTION", "INDEXES", "Server")},
)
