"""The table of a bench on several devices: what each of them did."""

from __future__ import annotations

from dataclasses import dataclass

from feedbench.bench.analysis.device_figures import DeviceFigures
from feedbench.bench.analysis.summary import Summary, TrialSummary
from feedbench.bench.report.document import RATE, Column, TableData, words
from feedbench.bench.report.table import sizes, trial_name, utilization_text

TOGETHER = "Devices take each step together, each an equal part of it, so they have the same AU."
_PRINTED_ROWS = 40


@dataclass(frozen=True)
class DeviceRow:
    """One device of a trial."""

    trial: TrialSummary
    device: DeviceFigures

    @property
    def device_name(self) -> str:
        """TensorFlow's name, and NVML's number if that is another."""
        name, gpu = self.device.name, self.device.gpu
        return name if gpu is None or name == f"GPU:{gpu}" else f"{name} (GPU {gpu} of NVML)"


def device_rows(summary: Summary) -> list[DeviceRow]:
    """Return each device of each trial that several devices trained; empty without any."""
    return [DeviceRow(trial, device) for trial in summary.trials for device in trial.devices]


def devices_table(summary: Summary) -> TableData[DeviceRow]:
    """Return one row per device of each trial."""
    return TableData(
        name="devices",
        title="Devices",
        columns=[
            words("loader and settings", "loader", lambda row: trial_name(row.trial)),
            words("device", "device", lambda row: row.device_name),
            Column("images/s", "images_per_second", lambda row: row.device.images_per_second, RATE),
            Column(
                "AU",
                "accelerator_utilization",
                lambda row: row.trial.accelerator_utilization,
                lambda row: utilization_text(row.trial),
                has_interval=True,
            ),
            Column("GPU", "gpu_utilization", lambda row: row.device.gpu_utilization, "{:.0%}"),
            Column(
                "SMs", "gpu_multiprocessors", lambda row: row.device.gpu_multiprocessors, "{:.0%}"
            ),
            Column(
                "power", "gpu_power_w", lambda row: row.device.gpu_power_w, "{:.0f} W", importance=1
            ),
            sizes("memory", "gpu_memory_bytes", lambda row: row.device.gpu_memory_bytes, 1),
        ],
        rows=device_rows(summary),
        legend=TOGETHER,
        printed_rows=_PRINTED_ROWS,
    )
