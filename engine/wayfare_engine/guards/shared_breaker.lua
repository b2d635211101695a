-- One breaker's state, shared by all workers. Runs in Valkey, one call after the other.
--
-- KEYS[1]  the channel's hash: state, life, until, lease, reopened, successes, probe, why, and of
--          each bucket n of the window b<n>c, b<n>f, b<n>s: calls, failures, slow ones
-- ARGV     operation, limits as JSON (times in microseconds), then the operation's own:
--   sync   life, calls, failures, slow, open
--            counts of `life` since the last time. `open`: microseconds for which a worker that
--            went on alone has the breaker still open, -1: it is closed there
--   ask    token           may this token be the probe?
--   ended  token, outcome  what the probe came to: Success, Slow, Failure or None (not made)
-- Answer:  state, life, microseconds until a question makes sense, why, 1 if the token is the probe
--
-- All times are this server's. `life` names a state from one change to the next; it is the time of
-- the change, so that it is new even after all data was lost.
local limits = cjson.decode(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local key = KEYS[1]

local s = {}
local found = redis.call('HGETALL', key)
for i = 1, #found, 2 do s[found[i]] = found[i + 1] end
for _, name in ipairs({'life', 'until', 'lease', 'reopened', 'successes'}) do
  s[name] = tonumber(s[name]) or 0
end
s.probe = s.probe or ''
s.why = s.why or ''

local function text(number) return string.format('%.0f', number) end

local function save()
  redis.call('HSET', key, 'state', s.state, 'life', text(s.life), 'until', text(s['until']),
    'lease', text(s.lease), 'reopened', text(s.reopened), 'successes', text(s.successes),
    'probe', s.probe, 'why', s.why)
end

local function move(state, why)
  for name in pairs(s) do
    if string.match(name, '^b%d+[cfs]$') then
      redis.call('HDEL', key, name)
      s[name] = nil
    end
  end
  s.state, s.why, s.probe, s.successes = state, why, '', 0
  s.life = math.max(s.life + 1, now)
  if state == 'Open' then
    local grown = limits.open_for * limits.open_growth ^ math.min(s.reopened, 64)
    s['until'] = now + math.min(grown, limits.longest_open)
  end
  save()
end

local function count(calls, failures, slow)
  local bucket = math.floor(now / limits.slice)
  local sums = {c = 0, f = 0, s = 0}
  if calls > 0 then
    local added = {c = calls, f = failures, s = slow}
    for kind, number in pairs(added) do
      local name = 'b' .. text(bucket) .. kind
      s[name] = redis.call('HINCRBY', key, name, number)
    end
  end
  for name, number in pairs(s) do
    local at, kind = string.match(name, '^b(%d+)([cfs])$')
    if at then
      -- Later ones than now are of a server whose clock was ahead of this one's.
      if tonumber(at) > bucket - limits.buckets and tonumber(at) <= bucket then
        sums[kind] = sums[kind] + (tonumber(number) or 0)
      else
        redis.call('HDEL', key, name)
      end
    end
  end
  if sums.c < limits.minimum_calls then return end
  if 100 * sums.f >= limits.failure_percent * sums.c then
    move('Open', text(sums.f) .. ' of ' .. text(sums.c) .. ' calls of all workers failed')
  elseif limits.slow_after and 100 * sums.s >= limits.slow_percent * sums.c then
    move('Open', text(sums.s) .. ' of ' .. text(sums.c) .. ' calls of all workers were slow')
  end
end

-- Absent, or not ours.
local fresh = s.state ~= 'Closed' and s.state ~= 'Open' and s.state ~= 'HalfOpen'
if fresh then move('Closed', 'nothing was known in Valkey') end
-- After a move to a server with an earlier clock nothing may last longer than it could by itself.
if s['until'] > now + limits.longest_open then s['until'] = now + limits.longest_open; save() end
if s.lease > now + limits.probe_lease then s.lease = now + limits.probe_lease; save() end

local operation, granted = ARGV[1], 0
if operation == 'sync' then
  local life, open = tonumber(ARGV[3]), tonumber(ARGV[7])
  if open >= 0 and s.state == 'Closed' then
    move('Open', 'a worker that went on without Valkey had opened it')
    s['until'] = now + math.min(open, limits.longest_open)
    save()
  elseif s.state == 'Closed' and (fresh or life == s.life) then
    count(tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
  end
elseif operation == 'ask' then
  if s.state == 'Open' and now >= s['until'] then move('HalfOpen', 'it was open for its time') end
  if s.state == 'HalfOpen' and (s.probe == '' or now >= s.lease) then
    s.probe, s.lease, granted = ARGV[3], now + limits.probe_lease, 1
    save()
  end
elseif operation == 'ended' and s.state == 'HalfOpen' and s.probe == ARGV[3] then
  s.probe = ''
  if ARGV[4] == 'Success' then
    s.successes = s.successes + 1
    if s.successes >= limits.trial_calls then
      s.reopened = 0
      move('Closed', text(limits.trial_calls) .. ' probes in a row succeeded')
    end
  elseif ARGV[4] ~= 'None' then
    s.reopened = s.reopened + 1
    move('Open', ARGV[4] == 'Slow' and 'a probe was slow' or 'a probe failed')
  end
  save()
end

local left = 0
if s.state == 'Open' then left = math.max(0, s['until'] - now) end
-- What nobody asks about any more goes away.
redis.call('PEXPIRE', key, limits.keep)
return {s.state, text(s.life), text(left), s.why, granted}
