"""Consumers take batches: the trainer, an emulated accelerator, a device copy, or a drain."""
