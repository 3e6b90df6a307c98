-- open: begin a step. Takes the lock, or a place in the line, and reads ahead what the step will ask for.
-- Writes lock, line; reads all. After the common ones: token, milliseconds until the lock is anybody's, how many lanes
-- the caller knows, slice, how many edges to read, session, how many jobs to end and to start; then counted lists: jobs
-- that are reported,
-- lanes, and how many of each lane.
local refused = refuse()
if refused then return refused end
local token = ARGV[4]
local time = redis.call('TIME')
-- Deletion is allowed when memory is short, and so is what follows it: a purge must be able to begin.
redis.call('ZREM', line, '')
local holder = redis.call('GET', lock)
if holder and holder ~= token and holder ~= 'for ' .. token then
  if not redis.call('ZSCORE', line, token) then
    redis.call('ZADD', line, time[1] .. string.format('%06d', time[2]), token)
  end
  return {'wait', redis.call('PTTL', lock)}
end
redis.call('SET', lock, token, 'PX', ARGV[5])
redis.call('ZREM', line, token)
if redis.call('EXISTS', prefix .. 'redo') == 1 then return {'redo'} end

local slice, most_edges, session = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
local ends, n = tonumber(ARGV[10]), tonumber(ARGV[11])
local lanes = {}
if redis.call('HLEN', prefix .. 'lane') ~= tonumber(ARGV[6]) then lanes = redis.call('HGETALL', prefix .. 'lane') end
local now = time[1] .. '.' .. string.format('%06d', time[2])
local reply = {
  'open', tonumber(redis.call('HGET', KEYS[1], 'written')), now, lanes, redis.call('HGETALL', prefix .. 'limit'), redis.call('HGETALL', prefix .. 'count'),
  redis.call('ZRANGE', prefix .. 'order', 0, 0, 'WITHSCORES'),
  redis.call('ZREVRANGE', prefix .. 'order', 0, 0, 'WITHSCORES'),
  redis.call('ZRANGE', prefix .. 'purge', 0, 999, 'WITHSCORES'), redis.call('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES'),
}
if session == '' then return reply end

reply[11] = redis.call('ZSCORE', prefix .. 'lease', session)
local word = string.gsub(session, ' ', '_')
reply[12] = redis.call('ZRANGEBYLEX', prefix .. 'cancel', '[' .. word .. ' ', '(' .. word .. '!')
if n < 0 then return reply end -- nothing is exchanged

local room = 2000 -- rows that are read ahead; what else is needed is asked for
local seen, rows, edges, outs, ready, heads = {}, {}, {}, {}, {}, {}
local function want(id, list)
  if not seen[id] and room > 0 then
    seen[id], room = true, room - 1
    rows[#rows + 1] = id
    if list then list[#list + 1] = id end
  end
end
local at = 12
local reported = tonumber(ARGV[at])
local own = {}
for i = at + 1, at + reported do
  want(ARGV[i])
  own[#own + 1] = ARGV[i]
end
for i = at + 1, at + reported do
  local id = ARGV[i]
  if #edges >= most_edges then break end
  local most = math.min(slice + 1, most_edges - #edges)
  local out = redis.call('ZRANGEBYLEX', prefix .. 'out', '[' .. id .. ' ', '(' .. id .. '!', 'LIMIT', 0, most)
  outs[#outs + 1] = out
  for _, member in ipairs(out) do
    local after, place = string.match(member, '^%S+ (%S+) (%S+)$')
    edges[#edges + 1] = after .. ' ' .. place
    want(after, ready)
  end
end
at = at + reported + 1
local doomed = {}
if ends > 0 then
  doomed = redis.call('ZRANGE', prefix .. 'ends', 0, ends - 1, 'WITHSCORES')
  for i = 1, #doomed, 2 do want(string.match(doomed[i], ' (%S+)$'), ready) end
end
local candidates, several = {}, 0
for rank = 1, tonumber(ARGV[at]) do
  local lane, most = ARGV[at + 2 * rank - 1], tonumber(ARGV[at + 2 * rank])
  local head = redis.call('ZRANGE', prefix .. 'ready:' .. lane, 0, most - 1, 'WITHSCORES')
  heads[#heads + 1] = head
  if #head > 0 and most > 1 then several = several + 1 end
  if most > 1 or n == 1 then
    for i = 1, #head, 2 do candidates[#candidates + 1] = {tonumber(head[i + 1]), head[i]} end
  end
end
if several > 1 and #candidates > n then -- which of them are taken is not decided here, only read ahead
  table.sort(candidates, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
end
for i = 1, math.min(n, #candidates) do want(string.match(candidates[i][2], ' (%S+)$'), ready) end

local function read(hash, fields)
  local found = {}
  for i = 1, #fields, 4000 do
    local last = math.min(i + 3999, #fields)
    local values = redis.call('HMGET', prefix .. hash, unpack(fields, i, last))
    for j = 1, #values do found[i + j - 1] = values[j] end
  end
  return found
end
local payloads, slots = read('payload', ready), read('slots', ready)
for i, id in ipairs(ready) do
  if slots[i] then
    for _, place in ipairs(cmsgpack.unpack(slots[i])) do
      if #edges < 2 * most_edges then edges[#edges + 1] = id .. ' ' .. string.format('%08x', place + 0x80000000) end
    end
  end
end
reply[13], reply[14], reply[15], reply[16] = rows, read('job', rows), outs, edges
reply[17], reply[18], reply[19], reply[20] = read('edge', edges), doomed, heads, ready
reply[21], reply[22], reply[23] = payloads, slots, read('result', own)
return reply
