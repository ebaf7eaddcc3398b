"""What several test modules use. `from support.jobs import ...`"""
