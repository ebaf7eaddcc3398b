"""A database for tests on the server of a URL, with a name that nobody else has.

Imports within functions: pymongo is loaded only where a MongoDB store is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from bson import ObjectId

from rocketjob.base import clock
from rocketjob.base.errors import StoreError
from rocketjob.server.scratch import Scratch
from rocketjob_plugins.store_mongodb import checks, failures, judgement, location
from rocketjob_plugins.store_mongodb.deployment import Deployment
from rocketjob_plugins.store_mongodb.store import MongoStore

PREFIX = "rocketjob_scratch_"  # and an id, which has the time in it
LEFT_BEHIND_SECONDS = 24 * 3600  # after which whoever made one is taken for dead


def make(url: str) -> Scratch:
    """Judge the server of a URL in a database of its own, which the tests then use.

    In the URL's database nothing is written; it is only looked whether it is another program's.

    Raises:
        ConfigurationError: the URL is wrong.
        StoreUnfit: the server was tried, and no job can be trusted to it.
        StoreError: the server cannot be tried: it cannot be reached, the user may not ...
    """
    client = location.make_client(location.parse(url).url)
    name = f"{PREFIX}{ObjectId()}"
    try:
        with _said_as_at_the_start(client, url):
            _look_at_own(client, location.hide_password(url))
        _clear_left_behind(client)
        return _made(client, url, name)
    except BaseException:
        with contextlib.suppress(Exception):  # why nothing can be tried is what is to be said
            _clear(client, name)
        client.close()
        raise


def _look_at_own(client: Any, url: str) -> None:
    """Look whether the URL's database could be used, without writing anything."""
    database = client.get_default_database(location.DEFAULT_DATABASE)
    deployment = Deployment(lambda: database, url, lambda: None)
    failures.check_hello(url, deployment.facts)
    if problem := failures.rights_problem(deployment.status(), database.name):
        raise failures.no_rights(url, database.name, problem)
    judgement.refuse_foreign(database, url)


def _made(client: Any, url: str, name: str) -> Scratch:
    store = _opened(url, name)
    try:
        findings = list(checks.look_at(store))
        engine = f"{store.deployment.server}, {store.deployment.describe()}"
    finally:
        store.close()

    def new() -> MongoStore:
        _clear(client, name)
        return MongoStore(url, database=name)

    def remove() -> None:
        _clear(client, name)
        client.close()

    return Scratch(f"database {name}", engine, new, remove, findings)


def _opened(url: str, name: str) -> MongoStore:
    try:
        return MongoStore(url, database=name)
    except failures.MayNot as error:
        raise StoreError(
            f"{location.hide_password(url)}: the tests need a database of their own, and the user "
            f"may not use one: {error.problem}. Name a user in the URL who may, such as one with "
            "the role readWriteAnyDatabase"
        ) from None


@contextlib.contextmanager
def _said_as_at_the_start(client: Any, url: str) -> Iterator[None]:
    """Say of an error of the driver what the store says of it when it is opened."""
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as error:
        name = client.get_default_database(location.DEFAULT_DATABASE).name
        raise failures.refused(location.hide_password(url), name, error) from None


def _clear_left_behind(client: Any) -> None:
    """Remove the databases of those who died before they could; also this one may fail."""
    with contextlib.suppress(Exception):
        before = clock.now().timestamp() - LEFT_BEHIND_SECONDS
        for name in client.list_database_names():
            id = name.removeprefix(PREFIX)
            if id == name or not ObjectId.is_valid(id):
                continue
            if ObjectId(id).generation_time.timestamp() < before:
                _clear(client, name)


def _clear(client: Any, name: str) -> None:
    """Remove the database; with the role readWrite, that is to drop each of its collections."""
    from pymongo.errors import OperationFailure

    try:
        client.drop_database(name)
    except OperationFailure as error:
        if failures.UNAUTHORIZED not in failures.codes(error):
            raise
        for collection in client[name].list_collection_names():
            client[name].drop_collection(collection)
