"""The audit of image files: what each contains, and which decoders can read it."""

from feedbench.loaders.audit.facts import attach, audit
from feedbench.loaders.audit.last_scan import scanned
from feedbench.loaders.audit.probe import ProbeLimits
from feedbench.loaders.audit.store import Store
from feedbench.loaders.audit.verdict import Verdict, verdicts

__all__ = ["ProbeLimits", "Store", "Verdict", "attach", "audit", "scanned", "verdicts"]
