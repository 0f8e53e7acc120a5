# Files of www/.
