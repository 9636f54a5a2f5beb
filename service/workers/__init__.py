"""Several processes of the service behind one port; knows nothing of what they answer, imports no gRPC."""

from service.workers.count import worker_count
from service.workers.supervisor import Supervisor

__all__ = ["Supervisor", "worker_count"]
