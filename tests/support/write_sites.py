"""Where the kernel and the batch, cron and dirmon plugins write: found in the source, and seen.

A site is a function that calls a writing method of the store port, such as
`queue.limits.LimitedClaim._note`.
"""

import ast
import sys
from pathlib import Path

from pymongo.monitoring import CommandListener

import rocketjob
import rocketjob_plugins
from rocketjob.store import Collection, Store

READS = {  # of the port
    *("name", "find", "find_one", "count_documents", "distinct", "index_information"),
    *("url", "capabilities", "collection", "collection_names", "indexes", "count_by"),
    *("count_by_range", "change_mark", "wait_for_change", "is_transient", "check", "close"),
    *("transaction", "lease"),  # what is written within is written by the methods of a collection
}
KERNEL = Path(rocketjob.__file__).parent
PLUGINS = Path(rocketjob_plugins.__file__).parent
WRITERS = (KERNEL, PLUGINS / "batch", PLUGINS / "cron", PLUGINS / "dirmon", PLUGINS / "throttle")
WRITERS = (*WRITERS, PLUGINS / "progress.py")


def of_the_port():
    """Return the names of all methods of the store port."""
    both = {**vars(Collection), **vars(Store)}
    return {name for name in both if not name.startswith("_")}


WRITES = of_the_port() - READS


def in_source():
    """Return all sites."""
    return {site for writer in WRITERS for path in files(writer) for site in _sites(path)}


def files(writer):
    found = [writer] if writer.suffix else sorted(writer.rglob("*.py"))
    return [path for path in found if "testing" not in path.parts]


def module_of(path):
    """Return a module's name without its package."""
    path = Path(path)
    root = KERNEL if path.is_relative_to(KERNEL) else PLUGINS
    return ".".join(path.relative_to(root).with_suffix("").parts)


def _sites(path):
    def walk(node, names):
        for child in ast.iter_child_nodes(node):
            within = names
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                within = [*names, child.name]
            elif isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
                yield from _site(child.func.attr, path, names)
            yield from walk(child, within)

    yield from walk(ast.parse(path.read_text()), [])


def _site(method, path, names):
    if method in WRITES and names:
        yield ".".join([module_of(path), *names])


class Seen(CommandListener):
    """Notes the sites that send a write; a listener of pymongo."""

    def __init__(self, commands):
        self.commands, self.sites = commands, set()

    def started(self, event):
        if event.command_name in self.commands:
            self.sites |= set(_in_stack(sys._getframe(1)))

    def succeeded(self, event): ...

    def failed(self, event): ...


def _in_stack(frame):
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith((str(KERNEL), str(PLUGINS))):
            name = code.co_qualname.replace(".<locals>", "")
            yield f"{module_of(code.co_filename)}.{name}"
        frame = frame.f_back
