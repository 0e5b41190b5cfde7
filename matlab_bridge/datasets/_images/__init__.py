"""Images in files: decoded, prepared for a network, and found in folders, archives and datastores."""
