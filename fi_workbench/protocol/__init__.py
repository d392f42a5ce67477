"""What a round is: three sides, phases, the engine that drives them, and the ports to a transport."""
