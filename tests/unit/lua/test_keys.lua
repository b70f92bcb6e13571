local claims = require("claims")
local keys = require("keys")
local claim, equal = claims.claim, claims.equal

-- Files made by the test's caller with a real library: es.pem, p384.pem, rsa2048.pem, rsa1024.pem, rsa3072.pem, ed.pem.
local directory = assert(arg[1], "the directory of keys")

local function read_file(path)
  local file = io.open(path, "rb")
  local text = file and file:read("a")
  if file then
    file:close()
  end
  return text
end

local function classify(name)
  return keys.classify(assert(read_file(directory .. "/" .. name)))
end

claim("a key has one algorithm, and one size of signature", function()
  local alg, size = classify("es.pem")
  equal(alg, "ES256")
  equal(size, 64)
  alg, size = classify("rsa2048.pem")
  equal(alg, "RS256")
  equal(size, 256)
  alg, size = classify("rsa3072.pem")
  equal(alg, "RS256")
  equal(size, 384)
end)

claim("keys that are weak, strange or private are none", function()
  for _, name in ipairs({ "p384.pem", "rsa1024.pem", "ed.pem", "private.pem" }) do
    equal(classify(name), nil, name)
  end
  local pem = read_file(directory .. "/es.pem")
  for _, text in ipairs({ "", "x", pem .. pem, "junk\n" .. pem, pem:sub(1, -30), (pem:gsub("M", "!")) }) do
    equal(keys.classify(text), nil, text)
  end
end)

local function ring(files)
  local opened = {}
  local opened_ring = keys.open("keys", function(path)
    opened[#opened + 1] = path
    return files[path]
  end)
  return opened_ring.find, opened, opened_ring
end

local PEM, OTHER = read_file(directory .. "/es.pem"), read_file(directory .. "/rsa2048.pem")

claim("a known key is not read again for some seconds", function()
  local find, opened = ring({ ["keys/a.pem"] = PEM })
  equal(find("a", 100).path, "keys/a.pem")
  equal(find("a", 100 + keys.RECHECK - 1).alg, "ES256")
  equal(#opened, 1)
  find("a", 100 + keys.RECHECK)
  equal(#opened, 2)
end)

claim("a key that has gone counts no longer, and counts again when it is back", function()
  local files = { ["keys/a.pem"] = PEM }
  local find = ring(files)
  find("a", 100)
  files["keys/a.pem"] = nil
  equal(find("a", 200), nil)
  files["keys/a.pem"] = PEM
  equal(find("a", 200).alg, "ES256")
end)

claim("a kid never means another key than at first", function()
  local files = { ["keys/a.pem"] = PEM }
  local find = ring(files)
  find("a", 100)
  files["keys/a.pem"] = OTHER
  equal(find("a", 200), nil)
  files["keys/a.pem"] = nil
  equal(find("a", 300), nil)
  files["keys/a.pem"] = OTHER
  equal(find("a", 400), nil)
end)

claim("a key is one and the same for as long as its file says the same, and another one when it came back", function()
  local files = { ["keys/a.pem"] = PEM }
  local find = ring(files)
  local key = find("a", 100)
  equal(find("a", 200), key)
  files["keys/a.pem"] = nil
  find("a", 300)
  files["keys/a.pem"] = PEM
  equal(find("a", 400) ~= key, true)
end)

claim("read again, a key that has gone stops counting at once", function()
  local files = { ["keys/a.pem"] = PEM, ["keys/b.pem"] = PEM }
  local find, _, opened_ring = ring(files)
  find("b", 100)
  local a = find("a", 100)
  files["keys/b.pem"] = nil
  local found = opened_ring.read_again(101)
  equal(#found, 1)
  equal(found[1], a)
  equal(find("a", 101), a)
  equal(find("b", 101), nil)
end)

claim("a clock that goes back does not keep a key for ever", function()
  local files = { ["keys/a.pem"] = PEM }
  local find = ring(files)
  find("a", 1000)
  files["keys/a.pem"] = nil
  equal(find("a", 10), nil)
end)

claim("a secret is an HS256 key, if it is long enough", function()
  local secret = ("s"):rep(32)
  local find = ring({
    ["keys/a.hs256"] = secret .. "\n",
    ["keys/b.hs256"] = ("s"):rep(31),
    ["keys/c.hs256"] = secret .. "\0",
    ["keys/d.hs256"] = secret,
    ["keys/d.pem"] = PEM,
    ["keys/e.hs256"] = secret,
    ["keys/e.pem"] = "junk",
  })
  equal(find("a", 1).alg, "HS256")
  equal(find("a", 1).secret, secret)
  equal(find("a", 1).path, nil)
  equal(find("b", 1), nil)
  equal(find("c", 1), nil)
  equal(find("d", 1).alg, "ES256")
  equal(find("e", 1), nil)
end)

claims.finish()
