# Files of src/media.
