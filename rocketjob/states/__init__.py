"""States, events and history of documents."""
