"""Measure how fast the engine fine-tunes, compared with diffusers' script and with the machine's limits.

    make bench SCRIPT=train_dreambooth_lora_sdxl.py

The user fetches the script from examples/dreambooth in diffusers' repository. It runs unchanged in its own process and
takes turns with the engine on the same cores (see `turns`). Without the script only the engine is measured. On a GPU
the bases are SDXL and Stable Diffusion 1.5 in full size, with random weights.

This file imports nothing, so that the script's process loads only `stand_ins`.
"""
