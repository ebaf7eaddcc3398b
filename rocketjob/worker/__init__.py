"""A worker process: threads that perform claimed jobs."""

from rocketjob.base.deprecation import moved

__getattr__ = moved(__name__, {"WorkerThread": "rocketjob.worker.thread"})
