"""One file a kind of process: it wires the layers below into one object."""
