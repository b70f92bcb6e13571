"""Measures; never judges. Every figure is printed with what it was measured on."""
