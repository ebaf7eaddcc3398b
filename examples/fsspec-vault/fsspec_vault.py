"""The scheme vault://, for wherever a file may be named: one class of fsspec, and no hook."""

import os

from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem


class VaultFS(DirFileSystem):
    """The directory that VAULT_ROOT names."""

    protocol = "vault"

    def __init__(self, **options):
        root = os.environ.get("VAULT_ROOT", "vault")
        super().__init__(path=root, fs=LocalFileSystem(auto_mkdir=True))

    @classmethod
    def _strip_protocol(cls, path):
        if isinstance(path, str):
            return path.removeprefix("vault://")
        return [each.removeprefix("vault://") for each in path]
