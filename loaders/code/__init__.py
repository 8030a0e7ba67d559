"""Code that reads images as a loader does, for people who want to own it."""

from feedbench.loaders.code.request import CODE_LAYOUTS, Code, CodeRequest
from feedbench.loaders.code.stream import stream_code

__all__ = ["CODE_LAYOUTS", "Code", "CodeRequest", "stream_code"]
