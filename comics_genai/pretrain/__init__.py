"""Pretraining of the miniature, stage by stage: dataset, tokenizer, CLIP, VAE, scorer, UNet, assembly."""
