"""Replay capsules: a failed job, or slice, in one file, and run again on a developer's machine.

    rocketjob jobs capsule 55aeaf03a26ec0c1bd00008d             # where the store is
    rocketjob replay ImportJob-55aeaf03a26ec0c1bd00008d.rjc --app myapp.jobs --pdb

A capsule has the document of the job, of a batch job one slice with its records, which class it is
of, and the exception. It is replayed against a store of its own in memory, never the one of the
settings. Encrypted values, and what looks like a password or a key, are left out unless they are
asked for. It is plain JSON: reading one runs nothing.

- `making`: a capsule is made of a stored job
- `secrets`: what is left out of it
- `form`: the file: its fields, the version, the checksum
- `replaying`: a capsule is run
- `command`: `rocketjob jobs capsule` and `rocketjob replay`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocketjob import hookimpl
from rocketjob_plugins.capsule.errors import CapsuleError

if TYPE_CHECKING:
    from rocketjob.cli.root import RootGroup

__all__ = ["CapsuleError"]


@hookimpl
def register_commands(cli: RootGroup) -> None:
    from rocketjob_plugins.capsule.command import capsule, replay  # for start-up time

    cli.add_to("jobs", capsule)
    cli.add_command(replay)
