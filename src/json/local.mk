# Files of src/json.
