"""What the tests run in processes of their own, and the job classes that these share."""

from rocketjob import Job, ValidationError
from rocketjob.testing import sandbox
from rocketjob_plugins.singleton import Singleton


class SingleAcrossJob(Singleton, Job):
    def perform(self): ...


def create_singletons(url, barrier, results, rounds):
    """Create one in each round, at the same instant as others; report which succeeded."""
    outcomes = []
    with sandbox(url):
        SingleAcrossJob.count()
        for _ in range(rounds):
            job = SingleAcrossJob()
            barrier.wait(60)
            try:
                job.save()
                outcomes.append(1)
            except ValidationError:
                outcomes.append(0)
            barrier.wait(60)
    results.put(outcomes)
