"""How the network of a tf.data service takes part in the time of its loader."""

from __future__ import annotations

from typing import NamedTuple

from feedbench.bench.diagnose.rates import Rates

_NOISE = 0.05  # by which a loader is slower than its network alone where that is its limit


class Network(NamedTuple):
    """The network over which batches come.

    Attributes:
        seconds: per image; 0 without one.
        kappa: how far it overlaps the work of the workers, see `model.joined_s`.
    """

    seconds: float = 0.0
    kappa: float = 0.0


def network_of(rates: Rates) -> Network:
    """Return the network with the overlap that gives the measured rate of the loader, warm.

    Workers that make one batch while they send another have 0; where both take the same cores, or
    one follows the other, it is 1.
    """
    if rates.network is None or rates.service is None:
        return Network()
    loader_s, work_s = 1 / rates.loader_warm, 1 / rates.service
    network_s = min(1 / rates.network, loader_s)
    missing_s = max(0.0, loader_s - max(network_s, work_s))
    return Network(network_s, min(1.0, missing_s / min(network_s, work_s)))


def without_network(rates: Rates, network: Network) -> Rates:
    """Return the rates of a loader whose batches cost no time to send."""
    if not network.seconds or rates.service is None:
        return rates
    work_s = 1 / rates.service
    loader_s, warm_s = (
        _made_s(1 / rate, work_s, network) for rate in (rates.loader, rates.loader_warm)
    )
    return rates.model_copy(update={"loader": 1 / loader_s, "loader_warm": 1 / warm_s})


def _made_s(loader_s: float, work_s: float, network: Network) -> float:
    """Return the seconds per image before the network, from the loader's seconds per image.

    Args:
        work_s: that the workers take, warm: where the network hides it, the loader's time does not
            show it.
    """
    network_s, kappa = network
    longer_s = loader_s - kappa * network_s
    if longer_s > network_s * (1 + _NOISE):
        return longer_s
    if not kappa:
        return min(work_s, loader_s)
    return max(0.0, loader_s - network_s) / kappa or min(work_s, loader_s)
