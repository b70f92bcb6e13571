-- Judges a JSON Web Token but for its signature; it names nothing of HAProxy.
--
-- read() takes the token apart and refuses whatever is not exactly the form our signer writes; the caller then checks the
-- signature with the key of the kid and the algorithm of that key, never with one that the token names.

local base64url = require("base64url")
local json = require("json")

local token = {}

-- Ours are under 500 bytes; more is only there to cost us time.
token.MAX_SIZE = 4096

local HEADER_NAMES = { alg = true, typ = true, kid = true }
local UUID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12) .. "$"

-- A kid is also a file's stem: no separator, no leading dot.
function token.is_kid(kid)
  return type(kid) == "string" and #kid <= 64 and kid:find("^[A-Za-z0-9_-][A-Za-z0-9._-]*$") ~= nil
end

local function is_positive(value)
  return math.type(value) == "integer" and value > 0
end

local function read_header(text)
  local header = json.decode_object(text)
  if not header then
    return nil, "header"
  end
  for name in pairs(header) do
    -- RFC 7515 lets unknown parameters be ignored; crit, jwk, jku, x5u, b64 and what comes next are safer refused.
    if not HEADER_NAMES[name] then
      return nil, "header parameter"
    end
  end
  if header.typ ~= nil and header.typ ~= "JWT" then
    return nil, "typ"
  end
  if not token.is_kid(header.kid) then
    return nil, "kid"
  end
  return header
end

local function judge_claims(claims, want)
  if claims.iss ~= want.issuer then
    return nil, "iss"
  elseif claims.aud ~= want.audience then
    return nil, "aud"
  elseif not is_positive(claims.uid) then
    return nil, "uid"
  elseif type(claims.sid) ~= "string" or not claims.sid:find(UUID) or claims.sid:find("%u") then
    return nil, "sid"
  elseif not is_positive(claims.iat) then
    return nil, "iat"
  elseif not is_positive(claims.exp) then
    return nil, "exp"
  elseif claims.nbf ~= nil and not (math.type(claims.nbf) == "integer" and claims.nbf <= want.now) then
    return nil, "nbf"
  end
  local expired = claims.exp <= want.now
  return { uid = claims.uid, sid = claims.sid, exp = claims.exp, nbf = claims.nbf or 0, expired = expired }
end

-- want: {issuer, audience, now (unix seconds), find_key(kid) -> {alg, signature_size} or nil}.
-- Returns {identity = {uid, sid, exp, nbf, expired}, key = key}, or nil and which part was wrong (for the log, not the client).
function token.read(text, want)
  if #text > token.MAX_SIZE then
    return nil, "size"
  end
  local head, body, signature = text:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
  local head_text = head and base64url.decode(head)
  local body_text = head and base64url.decode(body)
  local signature_bytes = head and base64url.decode(signature)
  if not (head_text and body_text and signature_bytes) then
    return nil, "form"
  end
  local header, wrong = read_header(head_text)
  if not header then
    return nil, wrong
  end
  local key = want.find_key(header.kid)
  if not key then
    return nil, "unknown kid"
  elseif header.alg ~= key.alg then
    return nil, "alg"
  elseif #signature_bytes ~= key.signature_size then
    return nil, "signature size"
  end
  local claims = json.decode_object(body_text)
  if not claims then
    return nil, "claims"
  end
  local identity
  identity, wrong = judge_claims(claims, want)
  if not identity then
    return nil, wrong
  end
  return { identity = identity, key = key }
end

return token
