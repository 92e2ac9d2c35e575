"""Targets: what a Mamba block computes, and how its weights are loaded, saved and run. Knows no languages."""
