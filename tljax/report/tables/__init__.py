"""Tables for a terminal and the page."""
