"""Small models that train honestly in seconds to minutes, and data whose truth is known, to try a whole experiment."""
