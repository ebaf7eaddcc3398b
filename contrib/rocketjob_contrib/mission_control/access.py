"""Who may do what: roles, the permissions that each has, and the policy that decides.

Every route names a permission. A permission belongs to the lowest role that has it; each role
has all of those below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from rocketjob.base.text import did_you_mean

ROLES = ("admin", "editor", "operator", "manager", "dirmon", "user", "view")
"""From the most to the least powerful; each includes those after it."""


def _known(roles: Iterable[str]) -> frozenset[str]:
    if isinstance(roles, str):
        raise TypeError(f"roles must be a set of names, not the string {roles!r}")
    roles = frozenset(roles)
    for role in sorted(roles - set(ROLES)):
        hint = did_you_mean(role, ROLES, f"roles are {', '.join(ROLES)}")
        raise ValueError(f"there is no role {role}; {hint}")
    return roles


@attrs.frozen
class Identity:
    """Who asks for a page.

    Attributes:
        login: the person's name, for the history of jobs, and for jobs of his or her own.
        roles: any of `ROLES`; without any it is `view`, which reads everything.
        still: asked again before each step of a change, whether whoever was let in still may; such
            as a token that may be revoked meanwhile. None: nothing is asked again.
        grant: returns, for the role that something needs, what is asked of servers while they go on
            with that: see `rocketjob.jobs.grants`. None: nothing is asked there.
    """

    login: str | None = None
    roles: frozenset[str] = attrs.field(default=frozenset(), converter=_known)
    still: Callable[[], bool] | None = attrs.field(default=None, eq=False, repr=False)
    grant: Callable[[str], str] | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def rank(self) -> int:
        """The place in `ROLES` of the most powerful of the roles."""
        return min((ROLES.index(role) for role in self.roles), default=len(ROLES) - 1)


@attrs.frozen
class Permission:
    """One thing that can be done.

    Attributes:
        name: such as `jobs.retry`.
        role: the least powerful of those that may do it.
        own: whether the role `user` may, with what carries the person's own login.
    """

    name: str
    role: str = attrs.field(validator=attrs.validators.in_(ROLES))
    own: bool = False


READ = Permission("read", "view")


class Policy:
    """Decides what somebody may do; override `may` for rules of your own.

    Args:
        permissions: all that routes name.
    """

    def __init__(self, permissions: Iterable[Permission]) -> None:
        self.permissions = {permission.name: permission for permission in permissions}

    def may(self, identity: Identity, permission: str, target: Any = None) -> bool:
        """Return whether somebody may do something, to `target` if there is one."""
        asked = self.permissions[permission]
        if identity.rank <= ROLES.index(asked.role):
            return True
        return asked.own and identity.rank <= ROLES.index("user") and owns(identity, target)

    def needed(self, identity: Identity, permission: str) -> str:
        """Return the least powerful role by which somebody who may do something may do it."""
        asked = self.permissions[permission]
        as_own = asked.own and identity.rank > ROLES.index(asked.role)
        return "user" if as_own else asked.role


def owns(identity: Identity, target: Any) -> bool:
    """Return whether a job, or another document, carries a person's login."""
    login = getattr(target, "login", None)
    return isinstance(login, str) and bool(login) and login == identity.login
