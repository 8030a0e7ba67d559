"""recipe: prints a recipe file with every field, for editing."""

from __future__ import annotations

import typer


def recipe() -> None:
    """Edit it and give it to train, bench, tune, diagnose, calibrate or batch-size as --recipe."""
    import textwrap

    import tomli_w

    from feedbench.trainer import Recipe

    for name, value in Recipe().model_dump(mode="json").items():
        reason = Recipe.model_fields[name].description or ""
        typer.echo(textwrap.fill(reason, 96, initial_indent="# ", subsequent_indent="# "))
        typer.echo(tomli_w.dumps({name: value}))
