"""What a person is told: alarms, metrics, logs."""
