-- exchange: end jobs that are done, settle their edges, and claim, if nothing about it is out of the ordinary: nobody
-- holds the lock, there are no limits, no worklist and no cancels; every job runs in this session and attempt, is not
-- marked, and left nothing before; every edge gets what it asks for. Else it does nothing and says so, and a step does it.
-- Writes job, result, edge, state:*, ready:*, ends, count, tally, traded, meta; reads payload, slots, out, due, lease too.
-- After the common ones: session, time (empty: ours), how many lanes the caller knows, slice, the letters of edges that
-- `done` satisfies, how many jobs to end and to start, the name of this exchange (a repeated one is answered as the
-- first was); then counted lists: triples of job, attempt and result; for each rank of queues its lanes; lanes of
-- others. What places there are in a row, `records.py` tells.
local refused = refuse()
if refused then return refused end
local session, slice = ARGV[4], tonumber(ARGV[7])
local band, sub, find = bit.band, string.sub, string.find

local function read(hash, fields)
  local found = {}
  for i = 1, #fields, 4000 do
    local last = math.min(i + 3999, #fields)
    local values = redis.call('HMGET', prefix .. hash, unpack(fields, i, last))
    if i == 1 and last == #fields then return values end
    for j = 1, #values do found[i + j - 1] = values[j] end
  end
  return found
end

-- The reply: what was claimed, of which so many only end, with what else its caller needs of them.
local function answer(written, due_in, claimed, doomed, rows)
  local payloads, filled, fills = {}, {}, {}
  if #claimed > 0 then
    payloads = read('payload', claimed)
    if redis.call('EXISTS', prefix .. 'slots') == 1 then
      for i, places in ipairs(read('slots', claimed)) do
        for _, place in ipairs(i > doomed and places and cmsgpack.unpack(places) or {}) do
          filled[#filled + 1] = claimed[i] .. ' ' .. string.format('%08x', place + 0x80000000)
        end
      end
      if #filled > 0 then fills = read('edge', filled) end
    end
  end
  return {'done', written, due_in, claimed, rows, payloads, filled, fills}
end

local name = ARGV[11] .. ' '
local traded = redis.call('HGET', prefix .. 'traded', session)
if traded and sub(traded, 1, #name) == name then
  local claimed = {}
  local doomed, list = string.match(sub(traded, #name + 1), '^(%d+) (.*)$')
  for id in string.gmatch(list, '%S+') do claimed[#claimed + 1] = id end
  return answer(tonumber(ARGV[3]), '0', claimed, tonumber(doomed), #claimed > 0 and read('job', claimed) or {})
end

local special = {'special'}
if redis.call('EXISTS', lock, prefix .. 'redo', prefix .. 'limit', prefix .. 'order', prefix .. 'cancel') > 0
  or redis.call('HLEN', prefix .. 'lane') ~= tonumber(ARGV[6])
  or not redis.call('ZSCORE', prefix .. 'lease', session) then
  return special
end
local now = tonumber(ARGV[5])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1000000
end
local due = redis.call('ZRANGE', prefix .. 'due', 0, 0, 'WITHSCORES')[2]
if due and tonumber(due) <= now then return special end
local due_in = due and string.format('%.17g', tonumber(due) - now) or ''

local WAITING, READY, RUNNING, DONE = 1, 2, 3, 4
local END, CANCELLED, PARENT, DUE, DEADLINE = 1, 2, 16, 32, 64
local moment, owner, nobody = struct.pack('<d', now), struct.pack('<Hc0', #session, session), '\0\0'
local running, done, ready = string.char(RUNNING), string.char(DONE), string.char(READY)

local function has(flags, flag) return band(flags, flag) ~= 0 end

local counts, tallies = {}, {}
local function count(lane, shown, n)
  local known = counts[lane]
  if not known then
    known = {}
    counts[lane] = known
  end
  known[shown] = (known[shown] or 0) + n
end

-- What ends. First all that may be out of the ordinary is looked at.
local at, ids, rows, results, gone, ended = 12, {}, {}, {}, {}, {}
local attempts, lefts = {}, {}
local reported = tonumber(ARGV[at])
for i = 1, reported do
  local place = at + 3 * i - 2
  ids[i], attempts[i], lefts[i] = ARGV[place], tonumber(ARGV[place + 1]), ARGV[place + 2]
  gone[ids[i]] = true
end
at = at + 3 * reported + 1
if reported > 0 then
  local olds = read('job', ids)
  local kept = redis.call('EXISTS', prefix .. 'result') == 1 and read('result', ids) or {}
  local width = #owner
  for i = 1, reported do
    local old = olds[i]
    if not old or kept[i] or sub(old, 43, 42 + width) ~= owner then return special end
    local state, flags, _, bads, attempt, _, _, lane = struct.unpack('<BBI4I4I4ddI4', old)
    if state ~= RUNNING or attempt ~= attempts[i] or has(flags, CANCELLED) or has(flags, DEADLINE) then return special end
    rows[2 * i - 1] = ids[i]
    rows[2 * i] = done .. sub(old, 2, 14) .. moment .. sub(old, 23, 42) .. nobody .. sub(old, 43 + width)
    ended[2 * i - 1], ended[2 * i] = '0', ids[i]
    if lefts[i] ~= '' then
      results[#results + 1] = ids[i]
      results[#results + 1] = lefts[i]
    end
    count(lane, (has(flags, END) or bads > 0) and 'ending' or 'running', -1)
    count(lane, 'done', 1)
    if has(flags, PARENT) then
      local tree = struct.unpack('<Bc0', old, 43 + width)
      tallies[tree] = (tallies[tree] or 0) - 1
    end
  end
end

-- What its edges lead to.
local edges, keys, less, successors, freed = {}, {}, {}, {}, {}
if reported > 0 and redis.call('EXISTS', prefix .. 'out') == 1 then
  local out, left = prefix .. 'out', slice + 1
  for i = 1, reported do
    local id = ids[i]
    local found = redis.call('ZRANGEBYLEX', out, '[' .. id .. ' ', '(' .. id .. '!', 'LIMIT', 0, left)
    left = left - #found
    if left <= 0 then return special end
    for _, member in ipairs(found) do keys[#keys + 1] = sub(member, #id + 2) end
  end
  if #keys > 0 then
    for i, edge in ipairs(read('edge', keys)) do
      if sub(edge, 1, 1) == '-' then
        if not find(ARGV[8], sub(edge, 2, 2), 1, true) then return special end
        local key = keys[i]
        local after = sub(key, 1, find(key, ' ', 1, true) - 1)
        if not less[after] then
          if gone[after] then return special end
          less[after] = 0
          successors[#successors + 1] = after
        end
        less[after] = less[after] + 1
        edges[#edges + 1] = key
        edges[#edges + 1] = 'd' .. sub(edge, 2)
      end
    end
  end
  if #successors > 0 then
    for i, old in ipairs(read('job', successors)) do
      local id = successors[i]
      local state, flags, waits = struct.unpack('<BBI4', old)
      waits = waits - less[id]
      local first = sub(old, 1, 1)
      if state == WAITING and waits == 0 then
        if has(flags, DUE) then return special end
        first = ready
        freed[#freed + 1] = id
      end
      local new = first .. sub(old, 2, 2) .. struct.pack('<I4', waits) .. sub(old, 7)
      rows[#rows + 1] = id
      rows[#rows + 1] = new
      if first == ready and state == WAITING then freed[id] = new end
    end
  end
end

-- From here on nothing is refused.
do_all('HSET', 'result', results)
do_all('HSET', 'job', rows)
do_all('HSET', 'edge', edges)
do_all('ZREM', 'state:running', ids)
do_all('ZADD', 'state:done', ended)
if #freed > 0 then
  local now_ready = {}
  for i, id in ipairs(freed) do
    local _, flags, _, bads, _, _, _, lane, priority, length = struct.unpack('<BBI4I4I4ddI4i8H', freed[id])
    local tree = struct.unpack('<Bc0', freed[id], 45 + length)
    local doomed = has(flags, END) or bads > 0
    count(lane, 'waiting', -1)
    count(lane, doomed and 'ends' or 'ready', 1)
    if doomed then
      redis.call('ZADD', prefix .. 'ends', '0', tree .. ' ' .. id)
    else
      redis.call('ZADD', prefix .. 'ready:' .. lane, -priority, tree .. ' ' .. id)
    end
    now_ready[2 * i - 1], now_ready[2 * i] = '0', id
  end
  do_all('ZREM', 'state:waiting', freed)
  do_all('ZADD', 'state:ready', now_ready)
end

-- What is claimed: jobs to end first, then by rank of queue, priority, tree, id.
local ends, n = tonumber(ARGV[9]), tonumber(ARGV[10])
local taken, doomed = {}, 0
if ends > 0 then
  for _, member in ipairs(redis.call('ZRANGE', prefix .. 'ends', 0, ends - 1)) do taken[#taken + 1] = member end
  doomed = #taken
  if doomed > 0 then redis.call('ZREMRANGEBYRANK', prefix .. 'ends', 0, doomed - 1) end
end
local function take(lane, members)
  if #members == 0 then return end
  redis.call('ZREMRANGEBYRANK', prefix .. 'ready:' .. lane, 0, #members - 1)
  count(tonumber(lane), 'ready', -#members)
  count(tonumber(lane), 'running', #members)
end
local ranks, left = tonumber(ARGV[at]), n
at = at + 1
for _ = 1, ranks do
  local size = tonumber(ARGV[at])
  if left > 0 and size == 1 then
    local lane = ARGV[at + 1]
    local head = redis.call('ZRANGE', prefix .. 'ready:' .. lane, 0, left - 1)
    for _, member in ipairs(head) do taken[#taken + 1] = member end
    take(lane, head)
    left = left - #head
  elseif left > 0 then
    local found, by_lane = {}, {}
    for i = at + 1, at + size do
      local head = redis.call('ZRANGE', prefix .. 'ready:' .. ARGV[i], 0, left - 1, 'WITHSCORES')
      by_lane[ARGV[i]] = {}
      for j = 1, #head, 2 do found[#found + 1] = {tonumber(head[j + 1]), head[j], ARGV[i]} end
    end
    table.sort(found, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
    for i = 1, math.min(left, #found) do
      local lane = by_lane[found[i][3]]
      lane[#lane + 1] = found[i][2]
      taken[#taken + 1] = found[i][2]
    end
    for lane, members in pairs(by_lane) do
      take(lane, members)
      left = left - #members
    end
  end
  at = at + size + 1
end
if reported == 0 and #taken == 0 then return answer(tonumber(ARGV[3]), due_in, taken, 0, taken) end

local claimed, news = {}, {}
if #taken > 0 then
  local words, members = {}, {}
  for i, member in ipairs(taken) do claimed[i] = sub(member, find(member, ' ', 1, true) + 1) end
  for i, old in ipairs(read('job', claimed)) do
    local attempt = struct.unpack('<I4', old, 11) + 1
    local started = moment
    if i <= doomed then
      local lane = struct.unpack('<I4', old, 31)
      count(lane, 'ends', -1)
      count(lane, 'ending', 1)
      started = sub(old, 23, 30)
    end
    news[i] = running .. sub(old, 2, 10) .. struct.pack('<I4', attempt) .. sub(old, 15, 22) .. started
      .. sub(old, 31, 42) .. owner .. sub(old, 45)
    words[2 * i - 1], words[2 * i] = claimed[i], news[i]
    members[2 * i - 1], members[2 * i] = '0', claimed[i]
  end
  do_all('HSET', 'job', words)
  do_all('ZREM', 'state:ready', claimed)
  do_all('ZADD', 'state:running', members)
end

for lane, known in pairs(counts) do
  for shown, change in pairs(known) do
    if change ~= 0 then redis.call('HINCRBY', prefix .. 'count', lane .. ' ' .. shown, change) end
  end
end
for tree, change in pairs(tallies) do redis.call('HINCRBY', prefix .. 'tally', 'open ' .. tree, change) end
redis.call('HSET', prefix .. 'traded', session, name .. doomed .. ' ' .. table.concat(claimed, ' '))
local written = redis.call('HINCRBY', KEYS[1], 'written', 1)
if reported > 0 then
  redis.call('PUBLISH', prefix .. 'ended', session)
  local others = tonumber(ARGV[at])
  local more = #taken >= n or others > 16
  if not more and others > 0 then
    local lanes = {}
    for i = 1, others do lanes[i] = prefix .. 'ready:' .. ARGV[at + i] end
    more = redis.call('EXISTS', unpack(lanes)) > 0
  end
  if more then redis.call('PUBLISH', prefix .. 'ready', session) end
end
return answer(written, due_in, claimed, doomed, news)
