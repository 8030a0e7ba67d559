"""The commands, each a function that typer calls. Heavy imports wait until one runs."""
