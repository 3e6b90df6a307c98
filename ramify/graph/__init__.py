"""What a tree of jobs means: pure functions over the words of the model."""
