"""One line in ``generate`` of transformers: ``model.generate(**inputs, custom_generate=...)``."""

from anydraft.integrations.transformers.method import CustomGenerate, custom_generate

__all__ = ["CustomGenerate", "custom_generate"]
