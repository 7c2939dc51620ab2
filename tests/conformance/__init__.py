"""Published conformance suites, run from data files that lie beside the checkout."""
