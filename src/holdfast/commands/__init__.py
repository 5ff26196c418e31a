"""What each command means: one module a family, its specification beside its handlers."""
