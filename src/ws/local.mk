# Files of src/ws.
