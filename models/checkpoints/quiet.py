"""Transformers without its advice and progress bars."""

from __future__ import annotations


def quiet_transformers() -> None:
    """Keep transformers' advice and progress bars out of our output (they cost an import: call it late)."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
