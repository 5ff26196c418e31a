<<<<<<< HEAD
"""Tests of the commands: what the conformance suite cannot see, above all what replicas and files are told."""
=======
"""Tests of the commands: what the conformance suite cannot see, above all what replicas and files hear."""
>>>>>>> w2-lists
