# Files of src/jobs.
