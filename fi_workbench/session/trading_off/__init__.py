"""What protection costs: accuracy, epsilon, latency and bytes over mechanisms and rules."""
