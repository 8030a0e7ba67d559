"""TensorFlow's side of a cluster: a strategy that sums gradients over all workers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from feedbench.bench.cluster.hosts import Cluster
from feedbench.bench.errors import PlanError
from feedbench.trainer import Replicas

_JOB = "worker"  # as TensorFlow calls what takes part
_PATIENCE = 10  # times as long as the longest silence


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Restore the handler of SIGTERM, which TensorFlow replaces: it would only tell its workers."""
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _set_patience(cluster: Cluster) -> None:
    """Have TensorFlow wait for a worker that does not join as long as for any sign of life.

    By default it waits for an hour, and lets no other thread of Python run meanwhile: neither
    Feedbench's signs of life nor Ctrl-C. While all train, it is to notice a silent worker later
    than Feedbench, whose line names it: by default it does so after 10 s, and ends every step with
    an error of its own.
    """
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
    from tensorflow.python.eager import context

    job = coordination_config_pb2.CoordinatedJob(name=_JOB, num_tasks=cluster.workers)
    silence_ms = round(1000 * cluster.waits.silence_s)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{_JOB}/replica:0/task:0",
        cluster_register_timeout_in_ms=silence_ms,
        heartbeat_timeout_in_ms=_PATIENCE * silence_ms,
        coordinated_jobs=[job],
    )
    # Else the time holds for workers alone: the chief waits for them for an hour.
    context.context().coordination_service.cluster_register_with_barrier = True


def connect(cluster: Cluster) -> Replicas:
    """Start TensorFlow's server at this worker's address, wait for the others, and join them.

    To be called before TensorFlow computes anything, and on all workers at once: this process can
    do nothing else until all have joined. A worker trains on one device: its first GPU that is
    visible, or the CPU.

    Raises:
        PlanError: TensorFlow cannot listen at this address, or a worker does not join. What
            TensorFlow leaves behind may keep this process from ending by itself.
    """
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")[:1]
    tf.config.set_visible_devices(gpus, "GPU")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({_JOB: list(cluster.addresses)}),
        task_type=_JOB,
        task_id=cluster.worker,
        num_accelerators={"GPU": len(gpus)} if gpus else {},
        rpc_layer="grpc",
    )
    try:
        with _own_sigterm():
            _set_patience(cluster)
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except tf.errors.OpError as error:
        raise PlanError(
            f"{cluster.name(cluster.worker)}: TensorFlow cannot join the others: "
            f"{error.message.splitlines()[0]}"
        ) from error
    return Replicas((f"{'GPU' if gpus else 'CPU'}:0",), strategy, cluster.worker)
