"""What tests and drills stand on: probes into compiled modules, fixtures."""
