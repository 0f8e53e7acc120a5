# Files of src/redis.
