-- The edge's hook: HAProxy's part of checking a token. What is decided is in the modules; here are only HAProxy's calls.
--
-- It only sets variables. haproxy.cfg refuses every request whose txn.passed is not 1, and that is set last: an error or a
-- time-out in here does not stop a request by itself. Loaded by lua-load: one state, so that keys are loaded by one thread.

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

local find_key = keys.open(setting("TOKEN_KEYS"), read_file)

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

local function check(txn, text)
  local now = core.now().sec
  local read, wrong = token.read(text, {
    issuer = ISSUER,
    audience = AUDIENCE,
    now = now,
    find_key = function(kid)
      return find_key(kid, now)
    end,
  })
  if not read then
    return nil, "token-invalid", wrong
  elseif not is_signed(txn, text, read.key) then
    return nil, "token-invalid", "signature"
  elseif read.identity.expired then
    return nil, "token-expired", "exp"
  end
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
