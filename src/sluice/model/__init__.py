"""What operators lean on: weights by name, licence and digest, found on this machine, never fetched unasked."""
