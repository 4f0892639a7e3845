"""Models from scratch on a few drawings: two GANs and diffusion in pixel space, all trained by `loop.train`."""
