"""Run by another Python (see install.py): nothing here is imported by the bench."""
