"""Hours of mixed traffic with faults in between: `scripts/soak`. The test suite has no time for it."""
