"""Order writes on their way to the broker, and its reports on their way back."""
