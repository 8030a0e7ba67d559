"""Ends a scan if its object storage no longer answers, instead of waiting for each object."""

from __future__ import annotations

import errno

from feedbench.loaders.audit.messages import Facts
from feedbench.loaders.errors import SourceError
from feedbench.loaders.manifest import Manifest

ERRNO = "errno"  # of a file that could not be read; no column
_OF_STORAGE = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EACCES}
_IN_A_ROW = 16  # each of which was asked for several times


class Outage:
    """Counts consecutive objects of a source that its storage has not delivered."""

    def __init__(self, manifest: Manifest) -> None:
        self._source = manifest.root
        self._most = min(_IN_A_ROW, len(manifest)) if manifest.is_remote else None
        self._failed = 0

    def note(self, facts: Facts) -> None:
        """Take the facts of the next file.

        Raises:
            SourceError: the last objects all failed, and not by their own fault.
        """
        self._failed = self._failed + 1 if facts.get(ERRNO) in _OF_STORAGE else 0
        if self._failed == self._most:
            raise SourceError(
                f"{self._source}: the last {self._failed} objects could not be fetched: "
                f"{facts['pillow']}; what was read before is saved: repeat the command to resume"
            )
