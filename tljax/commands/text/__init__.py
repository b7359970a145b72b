"""What the commands do with texts: read them, and keep some for the page."""
