"""What the public is told of a job's state. Pure."""

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2 as pb
from harmonia_chassis.jobs import TERMINAL

_SHOWN = {
    job_pb2.Job.RUNNING: pb.Song.RUNNING,
    job_pb2.Job.CANCELLING: pb.Song.CANCELLING,
    job_pb2.Job.SUCCEEDED: pb.Song.SUCCEEDED,
    job_pb2.Job.FAILED: pb.Song.FAILED,
    job_pb2.Job.CANCELLED: pb.Song.CANCELLED,
    job_pb2.Job.EXPIRED: pb.Song.EXPIRED,
}


def public_state(job: job_pb2.Job) -> "pb.Song.State.ValueType":
    """QUEUED until the first claim, then RUNNING until the end, whatever the stages do meanwhile.
    A deleted song shows the state it had before."""
    state = job.state_before_delete if job.state == job_pb2.Job.DELETED else job.state
    if state == job_pb2.Job.QUEUED:
        return pb.Song.QUEUED if job.epoch == job.drive_epoch else pb.Song.RUNNING
    return _SHOWN.get(state, pb.Song.UNSPECIFIED)


def has_ended(job: job_pb2.Job) -> bool:
    return job.state in TERMINAL or job.state in {job_pb2.Job.DELETED, job_pb2.Job.PURGED}
