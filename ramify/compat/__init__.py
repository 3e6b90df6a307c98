"""Programs written for older systems: each module here keeps the words of one, and says them with ramify.

They translate and decide nothing: what they need is in the Python face, and a store runs their jobs like all others.
"""
