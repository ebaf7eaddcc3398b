"""What tests of batch jobs share."""

from rocketjob_plugins.batch.outcome import rejects


def completed(app, job):
    """Save a job, run what waits, and return it as it is stored, which must be completed."""
    job.save()
    app.work_off()
    job.reload()
    assert job.is_completed, job.exception
    return job


def rejected_numbers(job):
    """Return the numbers of the rejected records; each error must name its own."""
    rejected = list(rejects.each(job))
    for number, _, error in rejected:
        assert f"record {number}" in error
    return {number for number, _, _ in rejected}
