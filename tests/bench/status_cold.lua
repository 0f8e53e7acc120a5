-- status_cold.lua - wrk asks for the status of one generation after another.
-- Arguments: the start of an id, the number of the first, how many there are,
-- where to begin.
local prefix, first, count, n

function init(args)
	prefix, first, count, n = args[1], tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
end

function request()
	n = (n + 1) % count
	return wrk.format("GET", string.format("/api/v1/generations/%s%d/status", prefix, first + n))
end
