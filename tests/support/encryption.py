"""Stands in for the encryption plugin, so that its library and keys are not needed."""

from rocketjob import hookimpl


class Reversing:
    """Turns the bytes round, with a salt that changes; not once `lost`, as if it had no key."""

    def __init__(self):
        self.salt, self.lost = 0, False

    @hookimpl
    def encrypt(self, data):
        self.salt += 1
        return None if self.lost else bytes([self.salt % 256]) + data[::-1]

    @hookimpl
    def decrypt(self, data):
        return None if self.lost else data[:0:-1]


def reversing(sandbox):
    """Let the fields of a test be encrypted; return the plugin."""
    plugin = Reversing()
    sandbox.plugins.register(plugin, "reversing")
    return plugin
