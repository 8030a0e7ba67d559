"""What takes the batches: the trainer, an emulated accelerator, or nothing."""
