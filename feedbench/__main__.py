"""`python -m feedbench`: the command, where the shell does not find it."""

from feedbench.bench.start import main

main()
