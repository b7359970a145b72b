"""One function a command, `tljax NAME`."""
