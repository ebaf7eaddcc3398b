import fsspec
import pytest
from fsspec_vault import VaultFS

from rocketjob import Job
from rocketjob_plugins.batch import Batch, OutputCategory
from rocketjob_plugins.batch.streams import StreamError, open_lines


class VaultJob(Batch, Job):
    destroy_on_complete = False
    output_category = OutputCategory()

    def perform(self, record):
        return record


@pytest.fixture(autouse=True)
def vault(tmp_path, monkeypatch):
    fsspec.register_implementation("vault", VaultFS, clobber=True)  # it may not be installed here
    monkeypatch.setenv("VAULT_ROOT", str(tmp_path))
    return tmp_path


def test_a_job_reads_and_writes_there(rocketjob, vault):
    (vault / "a.txt").write_text("x\ny\n")
    job = VaultJob()
    assert job.upload("vault://a.txt") == 2
    job.save()
    rocketjob.work_off()
    job.reload().download("vault://out/b.txt.gz")
    assert list(open_lines(vault / "out" / "b.txt.gz")) == ["x", "y"]


def test_a_file_that_is_not_there_is_named(rocketjob):
    with pytest.raises(StreamError, match=r"vault://b\.txt: does not exist"):
        VaultJob().upload("vault://b.txt")
