"""How each command is routed, in C."""

from holdfast.proxy.shapes import Exchange

def learn(exchange: Exchange) -> None:
    """Judge every command of the engine, and add those that only backends know."""

def kind_of(exchange: Exchange, name: str) -> int | None:
    """Return the kind of a command (`rules.Kind`), None when there is none of that name."""
