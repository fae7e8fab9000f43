"""String-level rejection sampling by classes of target tokens."""
