# Files of src/catalogue.
