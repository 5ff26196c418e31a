"""What tests need and users may: doors into the engine.

What this is: probes (compiled wrappers of C-level functions). What this is not:
part of a running node; nothing below imports it. Read `probes.pyi` for the list.
"""
