"""Virtual time, network, disk and hosts on which whole nodes run."""
