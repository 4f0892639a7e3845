"""DreamBooth, LoRA and both: settings, data, training, and the choice of the checkpoint."""
