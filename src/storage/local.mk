# Files of src/storage.
