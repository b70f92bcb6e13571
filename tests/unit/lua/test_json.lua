local claims = require("claims")
local json = require("json")
local claim, equal = claims.claim, claims.equal

claim("an object is read as it is written", function()
  local read = json.decode_object(' { "a" : 1 , "b":"x\\n\\u00e9\\ud83d\\ude00é" ,"c":[true,false,null,{}],"d":{"e":-12}} ')
  equal(read.a, 1)
  equal(read.b, "x\né😀é")
  equal(read.c[1], true)
  equal(read.c[3], json.NULL)
  equal(read.d.e, -12)
  equal(next(json.decode_object("{}")), nil)
end)

claim("only whole numbers within 2^53 are integers", function()
  for text, number in pairs({ ["0"] = 0, ["7"] = 7, ["-1"] = -1, ["9007199254740991"] = 9007199254740991 }) do
    equal(json.decode_object('{"n":' .. text .. "}").n, number, text)
  end
  for _, text in ipairs({ "7.0", "7e0", "1E3", "-0", "0.5", "9007199254740992", "-9007199254740992", ("9"):rep(400) }) do
    equal(json.decode_object('{"n":' .. text .. "}").n, json.INEXACT, text)
  end
end)

claim("what is no JSON object is refused, and says why", function()
  local refused = {
    "", " ", "{", "}", "[]", "[1]", '"x"', "1", "null", "{}{}", "{} x", "{}\0", "x{}", '{"a"}', '{"a":}', '{"a":1,}', "{,}",
    '{"a" 1}', "{a:1}", "{'a':1}", '{"a":01}', '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"a":1e}', '{"a":0x1}', '{"a":-}', '{"a":NaN}',
    '{"a":Infinity}', '{"a":tru}', '{"a":True}', '{"a":nul', '{"a":"x}', '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":"\\ud800"}',
    '{"a":"\\udc00"}', '{"a":"\\udc00\\udc00"}', '{"a":"\\ud800\\u0041"}', '{"a":"\n"}', '{"a":"\0"}', '{"a":"\31"}', '{"a":[1,]}', '{"a":[1 2]}', '{"a":[}',
    '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"a":null,"a":1}', '{"a":{"b":1,"b":1}}', "\239\187\191{}", '{"a":1}/**/',
    '{"a":"\xff"}', '{"a":"\xc0\xaf"}', '{"a":"\xed\xa0\x80"}', '{"a":"\xf4\x90\x80\x80"}', '{"\xc3":1}',
    '{"a":' .. ("["):rep(200) .. ("]"):rep(200) .. "}", '{"a":[[[[]]]]}', ("{"):rep(9000), ("["):rep(9000),
  }
  for _, text in ipairs(refused) do
    local read, reason = json.decode_object(text)
    equal(read, nil, text)
    equal(type(reason), "string", text)
  end
end)

claim("nesting up to the bound is read", function()
  equal(type(json.decode_object('{"a":[[{}]]}')), "table")
end)

claim("any bytes are answered without an error, and a changed object never reads as two things", function()
  local random = claims.random(7)
  local good = '{"uid":7,"sid":"abc","list":[1,2.5,"\\u0041"],"deep":{"x":null}}'
  for _ = 1, 20000 do
    local at = random(#good) + 1
    local text = good:sub(1, at - 1) .. string.char(random(256)) .. good:sub(at + random(3))
    local read, reason = json.decode_object(text)
    assert((read == nil) == (reason ~= nil), text)
  end
end)

claims.finish()
