"""What things are: immutable values and enums. Pure; imports the standard library only."""
