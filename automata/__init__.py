"""Languages and their algebra; no tensors here."""
