"""The virtual IP that stands for the whole."""
