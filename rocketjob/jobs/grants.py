"""Grants: what lets somebody in can be withdrawn while something goes on in that name.

A grant is a text of the plugin that made it, such as `web_token:manager:nightly-import`; the part
before the first colon says of which kind it is. Whoever acts has it with the act, and a job that
does something in a person's name keeps it, and asks before each step::

    grants.check(self.granted_by)

Only plugins know what it stands for: see the hook `grant_refused`.
"""

from __future__ import annotations

from rocketjob.base.errors import GrantLost
from rocketjob.store import context


def check(grant: str | None) -> None:
    """Go on only if what let somebody in still does.

    Args:
        grant: None: nothing that could be withdrawn.

    Raises:
        GrantLost: it says what was withdrawn, or that nobody here knows.
        HookFailed: the plugin that knows has failed.
    """
    if grant is None:
        return
    kind = str(grant).partition(":")[0]
    why = context.current().plugins.first("grant_refused", grant=str(grant))
    if why is None:
        raise GrantLost(
            f"no plugin of this process knows whether the grant {kind} still holds; load the one "
            "that made it on all servers"
        )
    if why:
        raise GrantLost(why)
