"""The account as a whole: its profit and loss, its rules, its day."""
