-- submit.lua - wrk posts generations, each with an idempotency key of its own;
-- the arguments are API keys, taken in turn.
local keys, n = {}, 0
math.randomseed(os.time())
local run = tostring(math.random(1, 1000000000))

function init(args)
	for i = 1, #args do keys[i] = args[i] end
end

function request()
	n = n + 1
	return wrk.format("POST", nil, {
		["Content-Type"] = "application/json",
		["Authorization"] = "Bearer " .. keys[n % #keys + 1],
		["Idempotency-Key"] = run .. "-" .. n,
	}, '{"model":"demo-pixel","prompt":"a boat on the river"}')
end
