# Files of src/auth.
