"""What is in each file, and which decoder can read it."""

from feedbench.loaders.audit.audit import attach, audit
from feedbench.loaders.audit.probe import Limits
from feedbench.loaders.audit.store import Store
from feedbench.loaders.audit.verdicts import Verdict, verdicts

__all__ = ["Limits", "Store", "Verdict", "attach", "audit", "verdicts"]
