"""The miniature is trained in stages: dataset, tokenizer, CLIP, VAE, attribute reader, UNet, assembly; see `stages`."""

__all__ = ["PRESETS", "STAGES", "PretrainSettings", "main", "pretrain"]


def __getattr__(name: str) -> object:
    # It must be possible to use one stage, or to run it as a module, without importing all the others.
    if name in __all__:
        from . import stages

        return getattr(stages, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
