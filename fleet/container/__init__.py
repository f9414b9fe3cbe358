"""What a family's container is given: its files, and the inputs that Docker reads back."""
