# A second data set beside an engine's own: loaded in the dark, then put in its place.
# Nothing of it is called from C.
