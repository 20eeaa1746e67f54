"""When it happens: asyncio services that feed inputs to the core and carry out its commands."""
