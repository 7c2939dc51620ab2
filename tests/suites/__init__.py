"""Published suites and other people's clients, run against a server in a process of its own: `scripts/suites`."""
