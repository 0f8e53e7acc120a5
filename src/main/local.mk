# Files of src/main.
