"""Rehearsals of death: crash stories in virtual time, killed and frozen processes, power loss."""
