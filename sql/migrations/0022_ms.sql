-- extract() gives a numeric: five thousand instructions for each time that is
-- shown, and a job shows eight. In floating point it is a tenth; half a
-- microsecond is more than it can be wrong by until the year 2100, and times
-- have whole microseconds, so that the millisecond is the same.
create or replace function ms(t timestamptz) returns bigint language sql stable
	parallel safe as $$
	select floor(date_part('epoch', t) * 1000 + 0.0005)::bigint
$$;
