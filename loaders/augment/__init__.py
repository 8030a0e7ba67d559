"""Random augmentation: its parameters per image (`draws`) and their use on the host (`host`)."""
