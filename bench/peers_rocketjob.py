"""RocketJob's adapter for a harness that measures job systems side by side, on a SQLite file.

Install RocketJob into the environment in which the harness runs its peers, then:

python run.py batch  --adapter bench/peers_rocketjob.py --only multiprocessing huey
python run.py simple --adapter bench/peers_rocketjob.py --only huey dramatiq
"""

import sys

import peerlib

import rocketjob
from rocketjob import Job, field
from rocketjob_plugins.batch import Batch as BatchMixin
from rocketjob_plugins.batch import InputCategory, OutputCategory

NAME, DISTS = "rocketjob", ("rocketjob",)
OPTS = peerlib.opts()


class PeersSimpleJob(Job):
    slot: int = field(default=0)

    def perform(self) -> None:
        peerlib.mark(self.slot)


class PeersBatchJob(BatchMixin, Job):
    destroy_on_complete = False
    input_category = InputCategory(
        slice_size=OPTS.get("size", 1000), serializer=OPTS.get("serializer", "compress")
    )
    output_category = OutputCategory(serializer=OPTS.get("serializer", "compress"))

    def perform(self, record: str) -> str:
        return peerlib.reverse(record)


def variants(workload):
    if workload == "simple":
        return [
            peerlib.Variant("sqlite", "SQLite WAL, 2 processes, 4 threads", {"workers": 4}, times=4)
        ]
    return [
        peerlib.Variant(
            f"slice-{size}{'' if serializer == 'compress' else '-' + serializer}",
            f"slice_size={size}, serializer {serializer}, SQLite WAL, 2 processes",
            {"size": size, "serializer": serializer},
        )
        for serializer in ("compress", "none")
        for size in (1000, 100)
    ]


def connect():
    rocketjob.configure(url=f"sqlite:///{peerlib.work_dir()}/rocketjob.db", log_level="error")


class _Base:
    def workers(self):
        url = f"sqlite:///{peerlib.work_dir()}/rocketjob.db"
        command = [sys.executable, "-m", "rocketjob.cli", "server", "--app", "peers_rocketjob"]
        command += ["--url", url, "--processes", "2", "--workers", str(OPTS.get("workers", 2))]
        return [[*command, "--log-level", "error"]]


class Simple(_Base, peerlib.SimplePeer):
    def prepare(self):
        connect()
        Job.delete_all()

    def enqueue(self, slots):
        for slot in slots:
            PeersSimpleJob.create(slot=slot)

    def enqueue_many(self, slots):
        slots = list(slots)
        for start in range(0, len(slots), 1000):
            PeersSimpleJob.create_many([{"slot": slot} for slot in slots[start : start + 1000]])

    def settled(self):
        return not Job.count()


class Batch(_Base, peerlib.BatchPeer):
    def prepare(self):
        connect()

    def warm(self):
        job = PeersBatchJob()
        job.upload(["x"] * 400)
        job.save().wait(60)

    def run(self, src, dst):
        job = PeersBatchJob()
        job.save()  # the workers begin while the file is uploaded
        job.upload(src)
        job.wait()
        with open(dst, "wb") as out:
            job.download(out, streams=[])
