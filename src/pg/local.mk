# Files of src/pg.
