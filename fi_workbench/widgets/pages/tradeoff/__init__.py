"""What privacy costs in accuracy, time and bytes: a sweep over mechanisms and rules."""
