"""The soak: a real engine under a full feed for hours, with faults, judged by records."""
