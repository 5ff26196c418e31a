"""Who opens and ends the ticks of an engine, as compiled code calls it."""

class Pulse:
    """Opens and ends ticks. Called, it opens one."""

    def __call__(self) -> None: ...
