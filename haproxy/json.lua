-- A strict JSON reader (RFC 8259) for small, hostile texts; it names nothing of HAProxy.
--
-- decode() promises: a value or (nil, reason), never an error; duplicate names, invalid UTF-8, lone surrogates, trailing
-- text and nesting over MAX_DEPTH are refused; a number is a Lua integer only if it is written as one and within +-2^53.
-- The size is bounded by the caller.

local json = {}

local MAX_DEPTH = 4
local MAX_INTEGER_DIGITS = 16
local MAX_INTEGER = 9007199254740991

-- What a number becomes that is no exact integer (7.0, 1e3, 2^60): a value equal to nothing a claim may be.
json.INEXACT = setmetatable({}, { __name = "inexact number" })
json.NULL = setmetatable({}, { __name = "null" })
-- Marks arrays, so that ["kid"] is never taken for an object.
json.ARRAY = { __name = "array" }

local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function fail(reason)
  error({ json = reason }, 0)
end

local function skip_space(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function read_unicode(text, at)
  local unit = text:match("^u(%x%x%x%x)", at)
  if not unit then
    fail("bad escape")
  end
  local code = tonumber(unit, 16)
  if code < 0xD800 or code > 0xDFFF then
    return utf8.char(code), at + 5
  end
  local low = text:match("^\\u([dD][c-fC-F]%x%x)", at + 5)
  if code > 0xDBFF or not low then
    fail("lone surrogate")
  end
  return utf8.char(0x10000 + ((code - 0xD800) << 10) + (tonumber(low, 16) - 0xDC00)), at + 11
end

local function read_string(text, at)
  local parts = {}
  while true do
    local stop = text:find('[%c"\\]', at)
    if not stop then
      fail("open string")
    end
    parts[#parts + 1] = text:sub(at, stop - 1)
    local char = text:sub(stop, stop)
    if char == '"' then
      return table.concat(parts), stop + 1
    elseif char == "\\" then
      local plain = ESCAPES[text:sub(stop + 1, stop + 1)]
      if plain then
        parts[#parts + 1], at = plain, stop + 2
      else
        parts[#parts + 1], at = read_unicode(text, stop + 1)
      end
    elseif char == "\127" then
      parts[#parts + 1], at = char, stop + 1
    else
      fail("control character")
    end
  end
end

local function read_number(text, at)
  local whole = text:match("^-?%d+", at)
  if not whole or whole:find("^-?0%d") then
    fail("bad number")
  end
  local stop = at + #whole
  local rest = text:match("^%.%d+", stop) or ""
  rest = rest .. (text:match("^[eE][+-]?%d+", stop + #rest) or "")
  local digits = whole:gsub("^-", "")
  if rest ~= "" or #digits > MAX_INTEGER_DIGITS or whole == "-0" then
    return json.INEXACT, stop + #rest
  end
  local number = math.tointeger(tonumber(whole))
  if number > MAX_INTEGER or number < -MAX_INTEGER then
    return json.INEXACT, stop
  end
  return number, stop
end

local read_value

local function read_object(text, at, depth)
  local object = {}
  at = skip_space(text, at)
  if text:sub(at, at) == "}" then
    return object, at + 1
  end
  while true do
    local name
    at = skip_space(text, at)
    if text:sub(at, at) ~= '"' then
      fail("name expected")
    end
    name, at = read_string(text, at + 1)
    if object[name] ~= nil then
      fail("duplicate name")
    end
    at = skip_space(text, at)
    if text:sub(at, at) ~= ":" then
      fail("colon expected")
    end
    object[name], at = read_value(text, skip_space(text, at + 1), depth)
    at = skip_space(text, at)
    local char = text:sub(at, at)
    if char == "}" then
      return object, at + 1
    elseif char ~= "," then
      fail("comma expected")
    end
    at = at + 1
  end
end

local function read_array(text, at, depth)
  local array = setmetatable({}, json.ARRAY)
  at = skip_space(text, at)
  if text:sub(at, at) == "]" then
    return array, at + 1
  end
  while true do
    array[#array + 1], at = read_value(text, skip_space(text, at), depth)
    at = skip_space(text, at)
    local char = text:sub(at, at)
    if char == "]" then
      return array, at + 1
    elseif char ~= "," then
      fail("comma expected")
    end
    at = at + 1
  end
end

local WORDS = { t = { "true", true }, f = { "false", false }, n = { "null", json.NULL } }

read_value = function(text, at, depth)
  local char = text:sub(at, at)
  if char == '"' then
    return read_string(text, at + 1)
  elseif char == "{" or char == "[" then
    if depth >= MAX_DEPTH then
      fail("nested too deep")
    end
    local read = char == "{" and read_object or read_array
    return read(text, at + 1, depth + 1)
  end
  local word = WORDS[char]
  if not word then
    return read_number(text, at)
  end
  if text:sub(at, at + #word[1] - 1) ~= word[1] then
    fail("unknown word")
  end
  return word[2], at + #word[1]
end

-- utf8.len of Lua 5.3 lets surrogates pass and that of 5.4 does not: refuse them here, in both.
local function is_utf8(text)
  return utf8.len(text) ~= nil and not text:find("\xED[\xA0-\xBF]")
end

-- The object that the text holds. Anything but one object is refused, as no part of a token may be anything else.
function json.decode_object(text)
  if not is_utf8(text) then
    return nil, "not UTF-8"
  end
  local ok, value, after = pcall(read_value, text, skip_space(text, 1), 0)
  if not ok then
    return nil, type(value) == "table" and value.json or "unreadable"
  end
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    return nil, "not an object"
  end
  if skip_space(text, after) <= #text then
    return nil, "text after the object"
  end
  return value
end

return json
