"""What the API and the command line ask, and what they are shown."""
