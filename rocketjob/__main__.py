"""`python -m rocketjob`: the command line, of just this Python."""

from rocketjob.cli import main

main(program="python -m rocketjob")
