"""The generated parts of docs/: drawn from the code, so that they cannot say anything else."""
