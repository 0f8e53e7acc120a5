# Files of src/live.
