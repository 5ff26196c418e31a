"""What holds for all tests.

How long one example of Hypothesis takes says more of the machine than of the code: no deadlines.
"""

from hypothesis import settings

settings.register_profile("holdfast", deadline=None)
settings.load_profile("holdfast")
