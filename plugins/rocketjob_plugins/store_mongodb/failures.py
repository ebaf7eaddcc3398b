"""What went wrong, in words that say what to change.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rocketjob.base.errors import GIVEN_UP, StoreError, StoreUnavailable, StoreUnfit
from rocketjob_plugins.store_mongodb.location import hide_password

OLDEST = (9, "4.4")  # wire version, and the release that first had it
AUTHENTICATION = frozenset({18, 8000})  # 8000 is Atlas's
UNAUTHORIZED = 13
NEEDED = frozenset({"find", "insert", "update", "remove", "createIndex"})
# Stepping down, shutting down, out of reach, conflicts, cursors that were lost, disk full.
TRANSIENT = frozenset(
    {6, 7, 43, 64, 89, 91, 134, 189, 234, 237, 246, 251, 262, 9001, 10107, 11600, 11602}
    | {13388, 13435, 13436, 14031, 63, 150, 133, 24, 50}
    | GIVEN_UP
)


def is_transient(error: BaseException) -> bool:
    """Return whether the same call may succeed later."""
    from pymongo.errors import ConnectionFailure, PyMongoError

    if isinstance(error, StoreUnavailable | ConnectionFailure):
        return True
    if not isinstance(error, PyMongoError):
        return False
    labels = ("TransientTransactionError", "RetryableWriteError", "UnknownTransactionCommitResult")
    if any(error.has_error_label(label) for label in labels):
        return True
    return not TRANSIENT.isdisjoint(codes(error))


def is_given_up(error: BaseException) -> bool:
    """Return whether a write met another one and was given up, with nothing of it stored."""
    return not GIVEN_UP.isdisjoint(codes(error))


def codes(error: Any) -> set[Any]:
    """Return the code of an error, and those of the writes of its group.

    What a group says of its replication counts only if no write was refused, since that stays so.
    """
    details = getattr(error, "details", None) or {}
    writes = details.get("writeErrors") or details.get("writeConcernErrors") or ()
    return {getattr(error, "code", None), *(each.get("code") for each in writes)} - {None}


def refused(url: str, database: str, error: Exception) -> StoreError:
    """Return the error to raise for one that the first contact gave."""
    from pymongo.errors import ConfigurationError as Misfit
    from pymongo.errors import OperationFailure

    text = reason(error)
    if isinstance(error, OperationFailure) and AUTHENTICATION & codes(error):
        return StoreError(
            f"{url} refused the user or the password: {text}. Check both (special characters are "
            "written as %XX), and authSource, the database in which the user was created"
        )
    if isinstance(error, OperationFailure) and UNAUTHORIZED in codes(error):
        return no_rights(url, database, text)
    if isinstance(error, Misfit):
        if "wire version" in text:
            return too_old(url, text)
        return StoreUnavailable(
            f"{url} cannot be reached: {text}. Check the host's name and replicaSet"
        )
    if isinstance(error, OperationFailure) and not is_transient(error):
        return StoreError(f"{url} refused the connection: {text}. See the server's log")
    return StoreUnavailable(f"{url} cannot be reached: {text}. {_advice(text)}")


def _advice(text: str) -> str:
    lower = text.lower()
    if "name or service not known" in lower or "nodename" in lower or "getaddrinfo" in lower:
        return "No such host is known: check its name in the URL"
    if "no replica set members" in lower or "primary" in lower:
        return (
            "Check replicaSet in the URL, which a standalone server has not, and whether the set "
            "has a primary (rs.status())"
        )
    if "certificate" in lower:
        return "Check tlsCAFile and tlsCertificateKeyFile in the URL, and the host's name"
    if "ssl" in lower or "tls" in lower:
        return "Check whether the server uses TLS: if it does not, leave tls=true out of the URL"
    if "no servers found yet" in lower:
        return "Check the host and port, and that tls in the URL is as the server has it"
    return "Check the host and port, that the server runs, firewalls, and tls=true if it wants TLS"


class MayNot(StoreError):
    """The user lacks rights; `problem` says which."""

    problem = ""


def no_rights(url: str, database: str, problem: str) -> StoreError:
    error = MayNot(
        f"{url}: the user may not do what is needed: {problem}. Name a user and password in "
        f"the URL, and give it the role: db.grantRolesToUser(user, "
        f"[{{role: 'readWrite', db: '{database}'}}])"
    )
    error.problem = problem
    return error


def too_old(url: str, problem: str) -> StoreUnfit:
    return StoreUnfit(f"{url}: {problem}. RocketJob needs MongoDB {OLDEST[1]} or later: upgrade it")


def check_hello(url: str, hello: Mapping[str, Any]) -> None:
    """Raise for a server that is too old or may not be written to."""
    if hello.get("maxWireVersion", 0) < OLDEST[0]:
        raise too_old(url, f"the server's wire version is {hello.get('maxWireVersion', 0)}")
    if not hello.get("isWritablePrimary", hello.get("ismaster", True)) or hello.get("readOnly"):
        name = hello.get("setName")
        of = f" of the replica set {name}" if name else ""
        raise StoreError(
            f"{url} is a read-only node{of}. Name the members of the set and replicaSet in the "
            "URL, without directConnection, so that the primary is found"
        )


def missing_rights(status: Mapping[str, Any], database: str) -> set[str]:
    """Return what a user lacks, by the answer to `connectionStatus`; nothing if it says nothing."""
    info = status.get("authInfo") or {}
    if not info.get("authenticatedUsers") or not info.get("authenticatedUserPrivileges"):
        return set()
    return set(NEEDED - _allowed(info["authenticatedUserPrivileges"], database))


def rights_problem(status: Mapping[str, Any], database: str) -> str:
    """Return what a user lacks in words, or nothing."""
    missing = missing_rights(status, database)
    if not missing:
        return ""
    privileges = status["authInfo"]["authenticatedUserPrivileges"]
    resources = [each["resource"] for each in privileges if "resource" in each]
    named = {each.get("collection") for each in resources if each.get("db") == database}
    alone = sorted(name for name in named if name and not name.startswith("system."))
    problem = f"it lacks {', '.join(sorted(missing))} on the database {database}"
    if alone:
        problem += f"; rights for {', '.join(alone[:5])} alone are not enough, since more are made"
    return problem


def leaves_rights_open(status: Mapping[str, Any]) -> bool:
    """Return whether the answer to `connectionStatus` names users, and not what they may do."""
    info = status.get("authInfo")
    if info is None:
        return True  # not every relative of MongoDB has the command
    return bool(info.get("authenticatedUsers")) and not info.get("authenticatedUserPrivileges")


def _allowed(privileges: Iterable[Mapping[str, Any]], database: str) -> set[str]:
    actions: set[str] = set()
    for privilege in privileges:
        resource = privilege.get("resource", {})
        everywhere = resource.get("anyResource") or resource.get("db") == ""
        if (everywhere or resource.get("db") == database) and not resource.get("collection"):
            actions.update(privilege.get("actions", ()))
    return actions | (set(NEEDED) if "anyAction" in actions else set())


def reason(error: Exception) -> str:
    """Return what an error says, without the driver's picture of the world, without passwords."""
    text = str(error)
    for end in (", full error", ", Timeout:", " (configured timeouts"):
        text = text.partition(end)[0]
    return hide_password(text)[:300].rstrip(" .")
