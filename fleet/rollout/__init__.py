"""What an up looks at, checks and makes ready, and in which waves it goes through the fleet."""
