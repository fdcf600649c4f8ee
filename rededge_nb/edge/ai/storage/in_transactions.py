"""AI.TENSORSET and AI.TENSORGET inside MULTI, where no worker can be asked: as Redis functions.

The edge module calls the function `edge_AI_TENSORSET` for a queued AI.TENSORSET, with the same arguments. The functions
do what commands/tensors.py does, with the same replies and errors, so a test compares the two. They cannot be called by
scripts: Redis does not run a function inside a script.
"""

from __future__ import annotations

import redis

LIBRARY = r"""#!lua name=rededge_tensors
-- RedisEdge: AI.TENSORSET and AI.TENSORGET inside MULTI
local WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value'
local FORMAT = {FLOAT = '<f', DOUBLE = '<d', INT8 = '<b', INT16 = '<h', INT32 = '<i4', INT64 = '<i8', UINT8 = '<B',
                UINT16 = '<H', BOOL = '<B'}
local SIZE = {FLOAT = 4, DOUBLE = 8, INT8 = 1, INT16 = 2, INT32 = 4, INT64 = 8, UINT8 = 1, UINT16 = 2, BOOL = 1}
local MOST = {INT8 = 127, INT16 = 32767, INT32 = 2147483647, INT64 = 9223372036854775807, UINT8 = 255, UINT16 = 65535,
              BOOL = 1}
local EXACT = 9007199254740992 -- Lua's numbers are doubles
local MAX_BYTES, MAX_DIMS, MAX_VALUES = 536870912, 32, 8388608

local function fail(text) error({err = text}, 0) end

local function kind_of(key)
  local found = redis.pcall('HGET', key, 'ai')
  if type(found) == 'table' then return 'other' end
  if found then return found end
  return redis.call('EXISTS', key) == 1 and 'other' or 'none'
end

local function integer(word)
  if word ~= '0' and not string.match(word, '^%-?[1-9]%d*$') then return nil end
  return #word <= 20 and tonumber(word) or nil
end

local function decimal(word)
  local named = string.match(string.lower(word), '^[+-]?(%a+)$')
  local plain = string.match(word, '^[%d+.eE-]+$') or named == 'inf' or named == 'infinity'
  return plain and tonumber(word) or fail('ERR invalid value')
end

local function packed(dtype, word)
  if dtype == 'FLOAT' or dtype == 'DOUBLE' then return struct.pack(FORMAT[dtype], decimal(word)) end
  local number = integer(word)
  if not number or number < 0 or number > MOST[dtype] then fail('ERR invalid value') end
  if number > EXACT then fail('ERR this value cannot be set inside MULTI') end
  return struct.pack(FORMAT[dtype], number)
end

local function text_element(word)
  if string.sub(word, -1) == '\0' then word = string.sub(word, 1, -2) end
  if string.find(word, '\0', 1, true) then fail('ERR C-string value contains null character') end
  return word .. '\0'
end

local function checked_blob(dtype, count, blob)
  if dtype == 'STRING' then
    local _, found = string.gsub(blob, '%z', '')
    if found ~= count or (#blob > 0 and string.sub(blob, -1) ~= '\0') then
      fail('ERR Number of string elements in data blob does not match tensor length')
    end
  elseif #blob ~= count * SIZE[dtype] then
    fail('ERR data length does not match tensor shape and type')
  elseif dtype == 'BOOL' and string.find(blob, '[^%z\1]') then
    fail('ERR BOOL tensor elements must be 0 or 1')
  end
  return blob
end

local function parsed(args)
  local dtype, dims, count = string.upper(args[1]), {}, 1
  if dtype ~= 'STRING' and not FORMAT[dtype] then fail('ERR invalid data type') end
  for at = 2, #args do
    local word = string.upper(args[at])
    if word == 'BLOB' then
      if #args ~= at + 1 then
        fail("ERR a single binary string should come after the BLOB argument in 'AI.TENSORSET' command")
      end
      return dtype, dims, checked_blob(dtype, count, args[at + 1])
    elseif word == 'VALUES' then
      if #args - at ~= count then fail("ERR wrong number of values was given in 'AI.TENSORSET' command") end
      local parts = {}
      for i = at + 1, #args do
        parts[#parts + 1] = dtype == 'STRING' and text_element(args[i]) or packed(dtype, args[i])
      end
      return dtype, dims, table.concat(parts)
    end
    local dim = integer(args[at])
    if not dim or dim <= 0 then fail('ERR invalid or negative value found in tensor shape') end
    if #dims == MAX_DIMS then fail('ERR a tensor has at most ' .. MAX_DIMS .. ' dimensions') end
    dims[#dims + 1] = args[at]
    count = count * dim
  end
  local size = count * (SIZE[dtype] or 1)
  if size > MAX_BYTES then
    local shown = string.format('%.0f', size)
    fail('ERR the tensor would have ' .. shown .. ' bytes, but a value in Redis can have ' .. MAX_BYTES .. ' at most')
  end
  return dtype, dims, string.rep('\0', size)
end

local function guarded(work)
  return function(keys, args)
    local fine, reply = pcall(work, keys[1], args)
    if fine then return reply end
    return type(reply) == 'table' and reply.err and reply or redis.error_reply('ERR ' .. tostring(reply))
  end
end

redis.register_function('edge_AI_TENSORSET', guarded(function(key, args)
  if #args < 2 then fail("ERR wrong number of arguments for 'AI.TENSORSET' command") end
  local kind = kind_of(key)
  if kind ~= 'none' and kind ~= 'tensor' then fail(WRONG_TYPE) end
  local dtype, dims, blob = parsed(args)
  redis.call('DEL', key)
  redis.call('HSET', key, 'ai', 'tensor', 'dtype', dtype, 'shape', '[' .. table.concat(dims, ', ') .. ']', 'blob', blob)
  return redis.status_reply('OK')
end))

local function values_of(dtype, blob)
  local found = {}
  if dtype == 'STRING' then
    for element in string.gmatch(blob, '(%Z*)%z') do found[#found + 1] = element end
    return found
  end
  if #blob / SIZE[dtype] > MAX_VALUES then
    fail('ERR the tensor has more than ' .. MAX_VALUES .. ' values, read its BLOB instead')
  end
  for at = 1, #blob, SIZE[dtype] do
    local value = struct.unpack(FORMAT[dtype], blob, at)
    if dtype == 'FLOAT' or dtype == 'DOUBLE' then
      value = string.format('%.17g', value)
    elseif value > EXACT or value < -EXACT then
      fail('ERR these values cannot be read inside MULTI, read the BLOB instead')
    end
    found[#found + 1] = value
  end
  return found
end

redis.register_function{function_name = 'edge_AI_TENSORGET', flags = {'no-writes'}, callback = guarded(
function(key, args)
  if #args > 2 then fail("ERR wrong number of arguments for 'AI.TENSORGET' command") end
  local kind = kind_of(key)
  if kind == 'none' then fail('ERR tensor key is empty or in a different shard') end
  if kind ~= 'tensor' then fail(WRONG_TYPE) end
  local asked = {}
  for _, word in ipairs(args) do asked[string.upper(word)] = true end
  for word in pairs(asked) do
    if word ~= 'META' and word ~= 'BLOB' and word ~= 'VALUES' then fail('ERR unsupported data format') end
  end
  if asked.BLOB and asked.VALUES then fail('ERR both BLOB and VALUES specified') end
  if not next(asked) then asked = {META = true, BLOB = true} end
  local stored = redis.call('HMGET', key, 'dtype', 'shape', 'blob')
  local dtype, blob = stored[1], stored[3]
  if not dtype or not stored[2] or not blob or not (FORMAT[dtype] or dtype == 'STRING') then fail(WRONG_TYPE) end
  local reply = {}
  if asked.META then
    local shape = {}
    for dim in string.gmatch(stored[2], '%d+') do shape[#shape + 1] = tonumber(dim) end
    reply = {'dtype', dtype, 'shape', shape}
  end
  if asked.BLOB then
    if not asked.META then return blob end
    reply[5], reply[6] = 'blob', blob
  elseif asked.VALUES then
    if not asked.META then return values_of(dtype, blob) end
    reply[5], reply[6] = 'values', values_of(dtype, blob)
  end
  return reply
end)}
"""


def register(client: redis.Redis) -> None:
    """Store the functions in the server, in place of those of another version.

    Raises:
        redis.ResponseError: The server refuses functions; the two commands are then refused inside MULTI.
    """
    client.execute_command("FUNCTION", "LOAD", "REPLACE", LIBRARY)
