"""What we run on: devices, processes, memory, signals, provenance."""
