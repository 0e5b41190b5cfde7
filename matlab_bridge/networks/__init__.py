"""Earlier names of modules, for one release."""
