"""DhanHQ v2: REST, order updates, market feed and instrument master (dhanhq-v2.md).

Nothing outside this package knows a field name, a code or a status word of this broker.
"""
