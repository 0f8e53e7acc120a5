# Files of src/providers.
