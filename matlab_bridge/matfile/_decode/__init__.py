"""From MATLAB's values as files hold them to Python values: objects, tables and MATLAB's own classes among them."""
