"""How commands fail: exit codes, and one line for the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

FINDINGS = 3
"""Exit code of `check` and `backup` for a database with faults."""


@contextmanager
def explained() -> Iterator[None]:
    """Report failures that an operator can act on in one line, without a traceback."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except OSError as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:
        from service.embedding.base import EmbedderError
        from service.storage.opening import explain as explain_storage

        text = str(error) if isinstance(error, EmbedderError) else explain_storage(error)
        if text is None:
            raise
        raise click.ClickException(text) from error
