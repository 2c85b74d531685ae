"""Training and evaluation: what a trainer is, external programs as trainers, and the exports they read."""
