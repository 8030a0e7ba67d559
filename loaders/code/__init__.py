"""Exported code that reads images as a loader does, for use without Feedbench."""

from feedbench.loaders.code.request import CODE_LAYOUTS, Code, CodeRequest
from feedbench.loaders.code.stream import stream_code

__all__ = ["CODE_LAYOUTS", "Code", "CodeRequest", "stream_code"]
