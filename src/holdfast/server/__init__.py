"""The asyncio shell that all processes share: connections, configuration, INFO."""
