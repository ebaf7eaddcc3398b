"""Integrations with other software, each behind an extra."""
