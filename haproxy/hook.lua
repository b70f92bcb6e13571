-- The edge's hook: HAProxy's part of checking a token. What is decided is in the modules; here are only HAProxy's calls.
--
-- It only sets variables. haproxy.cfg refuses every request whose txn.passed is not 1, and that is set last: an error or a
-- time-out in here does not stop a request by itself. Loaded by lua-load: one state, so that keys are loaded by one thread.

local cache = require("cache")
local keys = require("keys")
local sources = require("sources")
local token = require("token")

local MESSAGES = {
  ["token-missing"] = "a token is needed",
  ["token-invalid"] = "the token is not valid",
  ["token-expired"] = "the token has expired",
  ["token-ambiguous"] = "more than one token was sent",
  ["origin"] = "the request comes from another site",
}

local function setting(name)
  local value = os.getenv(name)
  if not value or value == "" then
    error(name .. " is not set", 0)
  end
  return value
end

-- Nodes trust whoever knows it.
if #setting("EDGE_SECRET") < 16 then
  error("EDGE_SECRET is shorter than 16 characters", 0)
end

local ISSUER, AUDIENCE = setting("TOKEN_ISSUER"), setting("TOKEN_AUDIENCE")

local function read_file(path, most)
  local file = io.open(path, "rb")
  local text = file and file:read(most + 1)
  if file then
    file:close()
  end
  return text and #text <= most and text or nil
end

local ring = keys.open(setting("TOKEN_KEYS"), read_file)

-- A token and what was read from it take about a kilobyte: 20 MB of the 64 that the state may have, however long tokens are.
local MOST_CACHED_BYTES = 8 * 1024 * 1024
local MOST_CACHED = tonumber(setting("TOKEN_CACHE"):match("^%d+$"))
if not MOST_CACHED or MOST_CACHED > 50000 then
  error("TOKEN_CACHE is not a number up to 50000", 0)
end
local verified = cache.open(MOST_CACHED, MOST_CACHED_BYTES)
local hits, misses = 0, 0

local function lines(headers, name)
  local list = {}
  -- HAProxy counts from 0.
  for index = 0, 63 do
    local line = headers[name] and headers[name][index]
    if not line then
      break
    end
    list[#list + 1] = line
  end
  return list
end

-- jwt_verify checks the signature only, and only its 1 means yes. A PEM goes by its path, which HAProxy opens the first time
-- and then finds in memory; a secret goes by a variable, since 2.6 takes a literal one for a file's name. Where a PEM can't
-- be loaded, 2.6 says -5 and 3.2 throws.
local function is_signed(txn, text, key)
  local argument = key.path
  if key.secret then
    txn:set_var("txn.secret", key.secret)
    argument = "txn.secret"
  end
  local ok, verdict = pcall(txn.c.jwt_verify, txn.c, text, key.alg, argument)
  if key.secret then
    txn:unset_var("txn.secret")
  end
  return ok and verdict == 1
end

-- What was verified still holds if no time has passed over it and its key is the one that counts now.
local function find_verified(text, now)
  local identity = verified.find(text)
  if not identity then
    return nil
  end
  if identity.nbf <= now and now < identity.exp and ring.find(identity.key.kid, now) == identity.key then
    return identity
  end
  verified.drop(text)
end

local function check(txn, text)
  local now = core.now().sec
  local known = find_verified(text, now)
  if known then
    hits = hits + 1
    return known
  end
  misses = misses + 1
  local read, wrong = token.read(text, {
    issuer = ISSUER,
    audience = AUDIENCE,
    now = now,
    find_key = function(kid)
      return ring.find(kid, now)
    end,
  })
  if not read then
    return nil, "token-invalid", wrong
  elseif not is_signed(txn, text, read.key) then
    return nil, "token-invalid", "signature"
  elseif read.identity.expired then
    return nil, "token-expired", "exp"
  end
  read.identity.key = read.key
  verified.keep(text, read.identity)
  return read.identity
end

local function refuse(txn, code, reason)
  txn:set_var("txn.error", code)
  txn:set_var("txn.message", MESSAGES[code])
  txn:set_var("txn.reason", reason or code)
end

local function check_token(txn, kind)
  local headers = txn.http:req_get_headers()
  local text, code, rest = sources.find({
    stream = kind == "stream",
    query = txn.sf:query(),
    authorization = lines(headers, "authorization"),
    cookie = lines(headers, "cookie"),
    origin = lines(headers, "origin"),
    host = lines(headers, "host"),
    protocols = lines(headers, "sec-websocket-protocol"),
  })
  if not text then
    return refuse(txn, code)
  end
  local identity, wrong, reason = check(txn, text)
  if not identity then
    return refuse(txn, wrong, reason)
  end
  txn:set_var("txn.uid", string.format("%d", identity.uid))
  txn:set_var("txn.sid", identity.sid)
  txn:set_var("txn.exp", string.format("%d", identity.exp))
  txn:set_var("txn.uri", txn.sf:path() .. (rest.query ~= "" and "?" .. rest.query or ""))
  txn:set_var("txn.protocols", rest.protocols)
  txn:set_var("txn.passed", 1)
end

core.register_action("check_token", { "http-req" }, check_token, 1)

-- On the admin socket: `token-keys` reads the directory again at once, and says which keys count and what the cache does.
core.register_cli({ "token-keys" }, "token-keys : read the keys' directory again and list what counts", function(applet)
  local lines = {}
  for _, key in ipairs(ring.read_again(core.now().sec)) do
    lines[#lines + 1] = key.kid .. " " .. key.alg
  end
  lines[#lines + 1] = ("cache: %d young tokens, %d hits, %d misses\n"):format(verified.size(), hits, misses)
  applet:send(table.concat(lines, "\n"))
end)
