"""The tf.data service: its servers, and whether they answer."""

from feedbench.loaders.service.address import Address
from feedbench.loaders.service.health import ServiceError, wait_for_dispatcher, workers_of
from feedbench.loaders.service.servers import Server, start_dispatcher, start_worker
from feedbench.loaders.service.sockets import limit_silence

__all__ = [
    "Address",
    "Server",
    "ServiceError",
    "limit_silence",
    "start_dispatcher",
    "start_worker",
    "wait_for_dispatcher",
    "workers_of",
]
