"""Beyond one process and one machine: sweeps over settings, and training in parallel ranks."""
