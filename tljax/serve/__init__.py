"""A trained classifier as a web page on this machine."""
