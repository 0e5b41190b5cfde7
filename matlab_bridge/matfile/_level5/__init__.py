"""The Level 5 format of MATLAB's "MAT-File Format": files of versions 5, 6 and 7."""
