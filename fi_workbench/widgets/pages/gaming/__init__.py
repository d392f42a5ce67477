"""What it pays one party to be dishonest, and what that costs all."""
