<<<<<<< HEAD
<<<<<<< HEAD
"""Tests of the commands: what the conformance suite cannot see, above all what replicas and files are told."""
=======
"""Tests of the commands: what the conformance suite cannot see, above all what replicas and files hear."""
>>>>>>> w2-lists
=======
"""Commands as a client sees them, on a server process of their own."""
>>>>>>> w2-script
