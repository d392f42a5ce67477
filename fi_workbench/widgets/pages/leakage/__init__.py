"""What leaks to one role about one party, under the settings in force and under earlier ones."""
