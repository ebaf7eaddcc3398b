"""Plugins: how they are found and called, and what they may implement."""
