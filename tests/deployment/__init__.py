"""The files of a deployment, and the processes that they start."""
