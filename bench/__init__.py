"""What ramify costs, side by side with others. Nothing here asserts a time: `make bench` measures and writes down."""
