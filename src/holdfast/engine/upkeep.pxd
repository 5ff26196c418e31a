# Upkeep: what the engine does for itself between requests (Python doors only, see upkeep.pyi).
