"""The folder of a path or URL: a local or a remote one."""

from __future__ import annotations

from rocketjob_plugins.batch.streams.names import is_url
from rocketjob_plugins.batch.streams.source import path_of
from rocketjob_plugins.dirmon.folder import DirmonError, Folder
from rocketjob_plugins.dirmon.local_folder import LocalFolder
from rocketjob_plugins.dirmon.remote_folder import RemoteFolder


def folder_of(base: str, archive: str) -> Folder:
    """Return the folder of a path or URL.

    Raises:
        DirmonError: its library is not installed, or the archive is on another system.
    """
    if is_url(base) and not base.lower().startswith("file:"):
        if is_url(archive) and archive.partition("://")[0] != base.partition("://")[0]:
            raise DirmonError(
                "the archive of a remote folder must be relative, or of the same kind"
            )
        if archive.startswith("/"):
            raise DirmonError("the archive of a remote folder must be relative, or a whole URL")
        return RemoteFolder(base, archive)
    if is_url(archive) and not archive.lower().startswith("file:"):
        raise DirmonError("the archive of a local folder must be local")
    return LocalFolder(_local(base), _local(archive))


def _local(name: str) -> str:
    return path_of(name) if is_url(name) else name
