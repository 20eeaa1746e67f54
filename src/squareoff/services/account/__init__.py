"""The account as a whole: who owns it, its rules, its limits, its kill switch."""
