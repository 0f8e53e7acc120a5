# Files of contrib/.
