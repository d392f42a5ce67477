"""Who answers alike, who can stand in for whom, and who mistakes what for what."""
