-- Finds the one token among the places where a request may carry it, and says what is left of them without it; it names
-- nothing of HAProxy.
--
-- An API request carries it in Authorization alone. A stream request, which browsers make and cannot add headers to, may
-- use Authorization, `?access_token=`, the subprotocol `bearer.<token>` or the cookie `sf_access`.

local sources = {}

local PARAMETER, COOKIE, PROTOCOL = "access_token", "sf_access", "bearer."

local function unescape(name)
  return (name:gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- Splits the query into the values of access_token, however its name is escaped, and everything else, untouched.
function sources.split_query(query)
  local found, rest = {}, {}
  for part in query:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)$")
    if unescape(name) == PARAMETER then
      found[#found + 1] = value
    else
      rest[#rest + 1] = part
    end
  end
  if #found == 0 then
    return found, query
  end
  return found, table.concat(rest, "&")
end

-- Splits the offered subprotocols into the tokens among them and the list of the others.
function sources.split_protocols(lines)
  local found, rest = {}, {}
  for _, line in ipairs(lines) do
    for item in line:gmatch("[^,]+") do
      item = item:match("^%s*(.-)%s*$")
      if item:sub(1, #PROTOCOL) == PROTOCOL then
        found[#found + 1] = item:sub(#PROTOCOL + 1)
      elseif item ~= "" then
        rest[#rest + 1] = item
      end
    end
  end
  return found, table.concat(rest, ", ")
end

local function find_cookies(lines)
  local found = {}
  for _, line in ipairs(lines) do
    for pair in line:gmatch("[^;]+") do
      local name, value = pair:match("^%s*([^=]-)%s*=%s*(.-)%s*$")
      if name == COOKIE and value ~= "" then
        found[#found + 1] = value
      end
    end
  end
  return found
end

-- Scheme names of Authorization have no case (RFC 9110 section 11.1). Any other scheme is a token that can't be right.
local function read_bearer(line)
  return line:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +([^ ]+)$") or ""
end

local PORTS = { http = ":80", https = ":443" }

local function with_port(authority, scheme)
  authority = authority:lower()
  return authority:find(":%d+$") and authority or authority .. PORTS[scheme]
end

-- Whether the page that sent the request came from here. Browsers leave Origin out of same-origin GETs: none is fine.
function sources.is_same_origin(origins, hosts)
  if #origins == 0 then
    return true
  end
  local scheme, authority = (origins[1] or ""):match("^(https?)://([^/?#@%s]+)$")
  if #origins > 1 or #hosts ~= 1 or not scheme or hosts[1] == "" then
    return false
  end
  return with_port(authority, scheme) == with_port(hosts[1], scheme)
end

-- request: {stream = boolean, query = text, and lists of lines: authorization, cookie, origin, host, protocols}.
-- Returns the token, or nil and the error's code; then what remains: {query, protocols}, which hold no token.
function sources.find(request)
  local in_query, query = sources.split_query(request.query)
  local in_protocols, protocols = sources.split_protocols(request.protocols)
  local rest = { query = query, protocols = protocols }
  local explicit = {}
  for _, line in ipairs(request.authorization) do
    explicit[#explicit + 1] = read_bearer(line)
  end
  if request.stream then
    table.move(in_query, 1, #in_query, #explicit + 1, explicit)
    table.move(in_protocols, 1, #in_protocols, #explicit + 1, explicit)
  end
  if #explicit > 1 then
    return nil, "token-ambiguous", rest
  elseif #explicit == 1 then
    return explicit[1], nil, rest
  end
  local cookies = request.stream and find_cookies(request.cookie) or {}
  if #cookies == 0 then
    return nil, "token-missing", rest
  elseif #cookies > 1 then
    return nil, "token-ambiguous", rest
  elseif not sources.is_same_origin(request.origin, request.host) then
    return nil, "origin", rest
  end
  return cookies[1], nil, rest
end

return sources
