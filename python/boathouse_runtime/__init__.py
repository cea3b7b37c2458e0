"""What Boathouse runs beside the user's Python code. Thin: it records definitions and calls the server."""
