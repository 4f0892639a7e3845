"""The Hugging Face Hub: how it is reached, what its answers mean, and the runs that come down from it."""
