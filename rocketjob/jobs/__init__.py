"""Jobs: their fields, their events, and what is done with them by those who create them."""
