"""The tree of what a user can mend in input and settings; every text is one line.

LoaderError
├── SourceError      the images' list: folder, CSV, Parquet
├── SpecError        the batch spec, or a spec that this loader cannot give
├── SettingsError    a knob of a loader
├── UnknownLoader    a name that no loader has
└── ImageError       one image file that cannot be read
"""


class LoaderError(Exception):
    """Whatever is wrong with what a loader was given."""


class SourceError(LoaderError):
    """The source of images cannot be listed."""


class SpecError(LoaderError):
    """The batch spec is not valid, or the loader cannot give such batches."""


class SettingsError(LoaderError):
    """A loader's setting is not valid."""


class UnknownLoader(LoaderError):
    """No loader has the name."""


class ImageError(LoaderError):
    """An image file cannot be read; the text names it."""
