"""What every plugin that encrypts keeps to: a suite for its own tests.

    from rocketjob.testing.encryption_contract import EncryptionContract

    class TestKms(EncryptionContract):
        @pytest.fixture
        def plugin(self, rocketjob):
            return rocketjob_plugin_kms

It needs pytest. The fixture `plugin` gives a module or object with the hooks, ready to be used.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from operator import eq
from threading import Thread
from typing import Any

import pytest

from rocketjob.base.encryption import EncryptionContext
from rocketjob.base.errors import RocketJobError
from rocketjob.plugins.manager import PluginManager
from rocketjob.testing.sandbox import Sandbox

CONTEXTS = [
    EncryptionContext("PaymentJob", "account", 1),
    EncryptionContext("PaymentJob", "account"),
    EncryptionContext("ImportJob", "inputs.main", 2),
    EncryptionContext(file="a.enc"),
    EncryptionContext(),
]
# Large values are compared by `eq`: where CI is set, pytest would compare them character by
# character to show the difference, and be at it for minutes or hours.
DATA = [b"", b"x", b"secret text", bytes(32), random.Random(1).randbytes(1_000_000)]
FOREIGN = [b"", b"x", b"plain text", bytes(100), b"RJE\x01\x01\x03old" + bytes(40), b"\xff" * 50]


class EncryptionContract:
    """Every test of the contract of plugins that implement `encrypt` and `decrypt`."""

    @pytest.fixture
    def plugin(self, rocketjob: Sandbox) -> Any:
        """Give the plugin, ready to be used; a subclass says which."""
        raise NotImplementedError

    @pytest.fixture
    def hooks(self, plugin: Any, rocketjob: Sandbox) -> Iterator[PluginManager]:
        """The plugin's hooks alone, called as they are by those who need them."""
        alone = PluginManager(entry_points=[])
        alone.register(plugin, "encrypting")
        yield alone

    @pytest.mark.parametrize("data", DATA, ids=lambda data: f"{len(data)} bytes")
    @pytest.mark.parametrize("context", CONTEXTS, ids=str)
    def test_what_is_encrypted_comes_back(
        self, hooks: PluginManager, data: bytes, context: EncryptionContext
    ) -> None:
        sealed = self._sealed(hooks, data, context)
        assert isinstance(sealed, bytes)
        assert eq(self._opened(hooks, sealed, context), data)

    def test_it_comes_back_wherever_it_has_been_copied_to(self, hooks: PluginManager) -> None:
        sealed = self._sealed(hooks, b"secret text", CONTEXTS[0])
        for context in CONTEXTS:
            assert self._opened(hooks, sealed, context) == b"secret text"

    def test_the_data_is_not_in_it_and_it_never_looks_the_same(self, hooks: PluginManager) -> None:
        sealed = {self._sealed(hooks, b"secret text" * 5) for _ in range(50)}
        assert len(sealed) == 50
        assert not any(b"secret" in each or b"secret"[::-1] in each for each in sealed)

    def test_a_value_that_was_changed_or_cut_off_is_never_opened(
        self, hooks: PluginManager
    ) -> None:
        sealed = self._sealed(hooks, b"secret text")
        for place in range(len(sealed)):
            changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
            for wrong in (changed, sealed[:place]):
                assert self._refuses(hooks, wrong), f"byte {place}"

    def test_what_others_encrypted_is_left_to_them(self, hooks: PluginManager) -> None:
        for foreign in FOREIGN:
            if hooks.first("key_of", data=foreign, context=CONTEXTS[0]) is None:
                assert self._refuses(hooks, foreign)
        plain = [each for each in FOREIGN if not each.startswith(b"RJE")]
        for foreign in plain:
            assert self._opened(hooks, foreign, CONTEXTS[0]) is None

    def test_the_key_of_a_value_is_named_and_the_one_that_encrypts_now(
        self, hooks: PluginManager
    ) -> None:
        for context in CONTEXTS:
            now = hooks.first("key_of", data=None, context=context)
            sealed = self._sealed(hooks, b"secret text", context)
            assert now
            assert hooks.first("key_of", data=sealed, context=context) == now
        assert hooks.first("key_of", data=b"plain text", context=CONTEXTS[0]) is None

    def test_several_threads_use_it_at_once(self, hooks: PluginManager) -> None:
        wrong: list[Any] = []

        def work(number: int) -> None:
            try:
                for size in range(20):
                    data = f"{number}".encode() * size
                    sealed = self._sealed(hooks, data)
                    if self._opened(hooks, sealed, CONTEXTS[0]) != data:
                        wrong.append((number, size))
            except BaseException as error:
                wrong.append(error)

        threads = [Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def _sealed(
        self, hooks: PluginManager, data: bytes, context: EncryptionContext = CONTEXTS[0]
    ) -> bytes:
        sealed: bytes | None = hooks.first("encrypt", data=data, context=context)
        assert sealed is not None, "it does not encrypt"
        return sealed

    def _opened(self, hooks: PluginManager, data: bytes, context: EncryptionContext) -> Any:
        return hooks.first("decrypt", data=data, context=context)

    def _refuses(self, hooks: PluginManager, data: bytes) -> bool:
        """Return whether a value is left to others, or refused with a reason for the user."""
        try:
            return self._opened(hooks, data, CONTEXTS[0]) is None
        except RocketJobError as error:
            return bool(str(error)) and "secret text" not in str(error)
