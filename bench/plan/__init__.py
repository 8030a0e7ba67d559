"""What is measured: suites, options and accelerator profiles as one validated plan."""
