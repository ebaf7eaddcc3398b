"""`python -m rocketjob.cli` is `rocketjob`."""

from rocketjob.cli import main

main()
