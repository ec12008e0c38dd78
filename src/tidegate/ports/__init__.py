"""What Tidegate asks of the world: protocols and the types of their answers, a file per port."""
