"""`manage.py rocketjob`: the command line of RocketJob, set up for the project."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand

DJANGOS = ("--settings", "--pythonpath")  # of every command; `manage.py` has seen to them


class Command(BaseCommand):  # type: ignore[misc]
    help = "Run servers, and look at jobs: manage.py rocketjob --help"
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        self._run(_without_djangos(argv[2:]))

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("args", nargs=argparse.REMAINDER)

    def handle(self, *args: str, **options: Any) -> None:
        """Run it for `call_command("rocketjob", "jobs", "list")`."""
        try:
            self._run(list(args))
        except SystemExit as end:
            if end.code:
                raise

    def _run(self, args: list[str]) -> None:
        from rocketjob.cli import main  # for the start-up time of all other commands

        main(args, "manage.py rocketjob")


def _without_djangos(argv: list[str]) -> list[str]:
    words, left = iter(argv), list[str]()
    for word in words:
        if word == "--":
            return [*left, word, *words]
        if word in DJANGOS:
            next(words, None)
        elif word.partition("=")[0] not in DJANGOS:
            left.append(word)
    return left
