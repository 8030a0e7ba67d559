"""GPU performance metrics (GPM, Hopper and later): multiprocessor utilization and PCIe traffic.

Source: NVML API reference, "GPM Functions" and "GPM Enums".
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, Self

from feedbench.bench.meters.mig import instance_of
from feedbench.bench.meters.sampling import Readings

_MIB = 1 << 20


class Gpm:
    """The latest two samples of a GPU's counters; must be closed.

    NVML needs more than 0.1 s between two samples.
    """

    def __init__(self, handle: Any) -> None:
        """Take the first sample.

        Raises:
            pynvml.NVMLError: the driver returned no sample.
        """
        import pynvml

        self._handle = handle
        self._instance = instance_of(handle)
        self._samples: list[Any] = []
        try:
            for _ in range(2):
                self._samples.append(pynvml.nvmlGpmSampleAlloc())
            self._take(self._samples[0])
        except pynvml.NVMLError:
            self.close()
            raise

    @classmethod
    def open(cls, handle: Any) -> Self | None:
        """Return the GPM of a GPU or an instance; None if it or its driver does not support it."""
        import pynvml

        instance = instance_of(handle)
        with suppress(pynvml.NVMLError):
            gpu = instance.gpu if instance else handle
            if pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice:
                return cls(handle)
        return None

    def read(self) -> Readings:
        """Return means since the last call; metrics that the GPU refuses are missing."""
        import pynvml

        before, latest = self._samples
        with suppress(pynvml.NVMLError):
            self._take(latest)
            self._samples = [latest, before]
            return _means_between(before, latest)
        return {}

    def _take(self, sample: Any) -> None:
        """Fill a sample: of the instance alone, if the handle is one."""
        import pynvml

        if self._instance is None:
            pynvml.nvmlGpmSampleGet(self._handle, sample)
        else:
            pynvml.nvmlGpmMigSampleGet(self._instance.gpu, self._instance.number, sample)

    def close(self) -> None:
        """Free the samples."""
        import pynvml

        while self._samples:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlGpmSampleFree(self._samples.pop())


def _means_between(before: Any, latest: Any) -> Readings:
    import pynvml

    metric_ids = {
        "multiprocessors": pynvml.NVML_GPM_METRIC_SM_UTIL,
        "pcie_rx_bytes_per_s": pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC,
        "pcie_tx_bytes_per_s": pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC,
    }
    query = pynvml.c_nvmlGpmMetricsGet_t(
        version=pynvml.NVML_GPM_METRICS_GET_VERSION,
        numMetrics=len(metric_ids),
        sample1=before,
        sample2=latest,
    )
    for index, metric_id in enumerate(metric_ids.values()):
        query.metrics[index].metricId = metric_id
    pynvml.nvmlGpmMetricsGet(query)
    return {
        name: _converted(name, metric.value)
        for name, metric in zip(metric_ids, query.metrics, strict=False)
        if metric.nvmlReturn == pynvml.NVML_SUCCESS and math.isfinite(metric.value)
    }


def _converted(name: str, value: float) -> float:
    """Convert percent to a fraction, and MiB to bytes."""
    return round(value / 100, 4) if name == "multiprocessors" else round(value * _MIB)
