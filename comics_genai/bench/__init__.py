"""How fast the engine fine-tunes, beside diffusers' script, and how far that is from what the machine can do.

    make bench SCRIPT=train_dreambooth_lora_sdxl.py

The script is fetched by whoever measures, from examples/dreambooth of diffusers' repository; it runs as it is, in a
process of its own, and takes turns with the engine on the same cores (see `turns`). Without it the engine is measured
alone. On a GPU the bases are SDXL and Stable Diffusion 1.5 in full size, with random weights.

Nothing is imported here: the script's process loads `stand_ins` alone.
"""
