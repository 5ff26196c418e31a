# Keys in great number for tests (DEBUG POPULATE).
