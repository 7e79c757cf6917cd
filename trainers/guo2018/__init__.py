"""The parts of guo2018: what they read, their networks, their stages, their fusion."""
