"""Stored documents: typed fields, validation, callbacks, and queries. It knows nothing of jobs."""
