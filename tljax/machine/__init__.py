"""The machine: devices, processes, memory, signals, provenance."""
