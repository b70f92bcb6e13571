"""Compares servers that hold many streams open: the same client, the same payload, the same HAProxy, taken in turns."""
