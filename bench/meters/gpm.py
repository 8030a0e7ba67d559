"""What GPM counts inside a GPU (Hopper and later): multiprocessors in use, PCIe traffic.

Source: NVML API reference, "GPM Functions" and "GPM Enums".
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

from feedbench.bench.meters.sampling import Figures

_MIB = 1 << 20


class Gpm:
    """Two samples of one GPU's counters, the latest and the one before; to be closed.

    NVML wants more than 0.1 s between them.
    """

    def __init__(self, handle: Any) -> None:
        """Take the first sample.

        Raises:
            pynvml.NVMLError: the driver gives none.
        """
        import pynvml

        self._handle = handle
        self._samples: list[Any] = []
        try:
            for _ in range(2):
                self._samples.append(pynvml.nvmlGpmSampleAlloc())
            pynvml.nvmlGpmSampleGet(handle, self._samples[0])
        except pynvml.NVMLError:
            self.close()
            raise

    @classmethod
    def of(cls, handle: Any) -> Self | None:
        """That of a GPU; None where the GPU, or its driver, has no GPM."""
        import pynvml

        with suppress(pynvml.NVMLError):
            if pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice:
                return cls(handle)
        return None

    def read(self) -> Figures:
        """Means since the last reading; what the GPU refuses is left out."""
        import pynvml

        before, latest = self._samples
        with suppress(pynvml.NVMLError):
            pynvml.nvmlGpmSampleGet(self._handle, latest)
            self._samples = [latest, before]
            return _between(before, latest)
        return {}

    def close(self) -> None:
        """Give the samples' memory back."""
        import pynvml

        while self._samples:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlGpmSampleFree(self._samples.pop())


def _between(before: Any, latest: Any) -> Figures:
    import pynvml

    asked = {
        "multiprocessors": pynvml.NVML_GPM_METRIC_SM_UTIL,
        "pcie_rx_bytes_per_s": pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC,
        "pcie_tx_bytes_per_s": pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC,
    }
    query = pynvml.c_nvmlGpmMetricsGet_t(
        version=pynvml.NVML_GPM_METRICS_GET_VERSION,
        numMetrics=len(asked),
        sample1=before,
        sample2=latest,
    )
    for place, metric in enumerate(asked.values()):
        query.metrics[place].metricId = metric
    pynvml.nvmlGpmMetricsGet(query)
    told = {
        name: metric.value
        for name, metric in zip(asked, query.metrics, strict=False)
        if metric.nvmlReturn == pynvml.NVML_SUCCESS
    }
    return {name: _in_our_unit(name, value) for name, value in told.items()}


def _in_our_unit(name: str, value: float) -> float:
    """From percent to a share, from MiB to bytes."""
    return round(value / 100, 4) if name == "multiprocessors" else round(value * _MIB)
