"""How long a test waits for what is to come, so that a run that hangs ends: longer than it takes on the
slowest and busiest machine. No test says by this that something is fast."""

SECONDS = 120
