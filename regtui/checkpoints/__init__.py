"""What a run keeps of itself in files, to go on from."""
