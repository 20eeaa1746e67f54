"""Who may act, and when: lease, token, clocks."""
