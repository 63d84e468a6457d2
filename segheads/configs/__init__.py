"""Reading, naming and checking configs."""
