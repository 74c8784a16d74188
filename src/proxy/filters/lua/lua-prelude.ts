/**
 * The functions that scripts have in addition to the language: the objects of Envoy's API, whose methods call `host`,
 * and what LuaJIT adds to Lua 5.1. The prelude runs once in each interpreter, before the script. It removes the
 * functions that reach outside the interpreter.
 *
 * A method that must wait yields `waiting` and what it waits for. A yield ends at the nearest coroutine, so the
 * functions that start a coroutine pass such yields on.
 */
export const luaPrelude = String.raw`
local host, search, guard = ...
local type, error, tostring, tonumber, select, next, rawget = type, error, tostring, tonumber, select, next, rawget
local setmetatable, unpack, newproxy, ipairs, rawpairs = setmetatable, unpack, newproxy, ipairs, pairs
local getinfo, rawmeta = debug.getinfo, debug.getmetatable
local cocreate, coresume, coyield, costatus = coroutine.create, coroutine.resume, coroutine.yield, coroutine.status
local gsub, sub, rep, format, byte = string.gsub, string.sub, string.rep, string.format, string.byte
local log, floor, ceil = math.log, math.floor, math.ceil
local waiting = {}

-- Errors name the line of the script, whatever lies between.
local function fail(message)
  local level = 2
  local at = getinfo(level, "Sl")
  while at and (at.what == "C" or at.what == "tail" or at.short_src == "envoy") do
    level = level + 1
    at = getinfo(level, "Sl")
  end
  if at then message = at.short_src .. ":" .. at.currentline .. ": " .. message end
  error(message, 0)
end

local function checked(ok, ...)
  if not ok then fail((...)) end
  return ...
end
local function ask(...) return checked(host(...)) end
local function wait(...) return checked(coyield(waiting, ...)) end

local function text(value, position, method)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" then return tostring(value) end
  fail(format("bad argument #%d to '%s' (string expected, got %s)", position, method, kind == "nil" and "no value" or kind))
end

-- Objects are userdata, as in Envoy, and what they stand for is kept here.
local facts = setmetatable({}, { __mode = "k" })
local function class(methods)
  local prototype = newproxy(true)
  local meta = rawmeta(prototype)
  meta.__index = methods
  meta.__metatable = false
  return function(of)
    local object = newproxy(prototype)
    facts[object] = of
    return object
  end, meta
end
local function of(object)
  local found = facts[object]
  if found == nil then fail("the method is called without its object: write object:method(), not object.method()") end
  return found
end
local function missing(what, names)
  local methods = {}
  for name in names:gmatch("%S+") do
    methods[name] = function() fail(what .. ":" .. name .. "() is not supported") end
  end
  return methods
end
local function getters(methods, names)
  for name in names:gmatch("%S+") do
    methods[name] = function(self)
      local it = of(self)
      return ask("info", it.id, name)
    end
  end
  return methods
end

local function pairsOf(list)
  local at = 0
  return function()
    at = at + 1
    local entry = list[at]
    if entry then return entry[1], entry[2] end
  end
end

local headerMethods = {}
local newHeaders, headersMeta = class(headerMethods)
local function modifiable(it)
  if it.iterating then fail("header map cannot be modified while iterating") end
end
function headerMethods:get(key) local it = of(self) return ask("header", it.id, it.which, text(key, 1, "get")) end
function headerMethods:getAtIndex(key, index)
  local it = of(self)
  return ask("headerAt", it.id, it.which, text(key, 1, "getAtIndex"), tonumber(index) or fail("bad argument #2 to 'getAtIndex' (number expected)"))
end
function headerMethods:getNumValues(key) local it = of(self) return ask("headerCount", it.id, it.which, text(key, 1, "getNumValues")) end
function headerMethods:add(key, value)
  local it = of(self)
  modifiable(it)
  ask("headerAdd", it.id, it.which, text(key, 1, "add"), text(value, 2, "add"))
end
function headerMethods:replace(key, value)
  local it = of(self)
  modifiable(it)
  ask("headerReplace", it.id, it.which, text(key, 1, "replace"), text(value, 2, "replace"))
end
function headerMethods:remove(key)
  local it = of(self)
  modifiable(it)
  ask("headerRemove", it.id, it.which, text(key, 1, "remove"))
end
function headerMethods:setHttp1ReasonPhrase() fail("headers:setHttp1ReasonPhrase() is not supported") end
function headersMeta.__pairs(self)
  local it = of(self)
  if it.iterating then fail("cannot create a second iterator before completing the first") end
  it.iterating = true
  local each = pairsOf(ask("headerList", it.id, it.which))
  return function()
    local key, value = each()
    if key == nil then it.iterating = false end
    return key, value
  end
end

local bufferMethods = {}
local newBuffer = class(bufferMethods)
function bufferMethods:length() local it = of(self) return ask("bodyLength", it.id) end
function bufferMethods:getBytes(index, length)
  local it = of(self)
  return ask("bodyBytes", it.id, tonumber(index) or fail("bad argument #1 to 'getBytes' (number expected)"), tonumber(length) or fail("bad argument #2 to 'getBytes' (number expected)"))
end
function bufferMethods:setBytes(bytes) local it = of(self) return ask("bodySet", it.id, text(bytes, 1, "setBytes")) end

local mapMethods = {}
local newMap, mapMeta = class(mapMethods)
function mapMethods:get(key) local it = of(self) return ask("map", it.id, it.which)[text(key, 1, "get")] end
function mapMethods:set(filter, key, value)
  local it = of(self)
  if it.which ~= "dynamicMetadata" then fail("metadata cannot be changed") end
  ask("dynamicSet", it.id, text(filter, 1, "set"), text(key, 2, "set"), value)
end
function mapMeta.__pairs(self) local it = of(self) return next, ask("map", it.id, it.which), nil end

local nameMethods = getters({}, "commonName organizationName")
local newName = class(nameMethods)
local sslMethods = getters(
  missing("ssl", "urlEncodedPemEncodedPeerCertificateChain serialNumberPeerCertificate issuerPeerCertificate dnsSansLocalCertificate oidsPeerCertificate oidsLocalCertificate validFromPeerCertificate expirationPeerCertificate sessionId ciphersuiteId ciphersuiteString tlsVersion subjectLocalCertificate"),
  "peerCertificatePresented peerCertificateValidated uriSanLocalCertificate sha256PeerCertificateDigest subjectPeerCertificate uriSanPeerCertificate dnsSansPeerCertificate urlEncodedPemEncodedPeerCertificate")
function sslMethods:parsedSubjectPeerCertificate()
  local it = of(self)
  if ask("info", it.id, "peerCertificatePresented") then return newName(it) end
  return nil
end
local newSsl = class(sslMethods)
local function ssl(it)
  if ask("info", it.id, "secure") then return newSsl(it) end
  return nil
end

local infoMethods = getters(missing("streamInfo", "filterState dynamicTypedMetadata drainConnectionUponCompletion"), "protocol routeName virtualClusterName downstreamLocalAddress downstreamDirectLocalAddress downstreamRemoteAddress downstreamDirectRemoteAddress requestedServerName")
function infoMethods:dynamicMetadata() return newMap({ id = of(self).id, which = "dynamicMetadata" }) end
function infoMethods:downstreamSslConnection() return ssl(of(self)) end
local newInfo = class(infoMethods)

local connectionMethods = {}
function connectionMethods:ssl() return ssl(of(self)) end
local newConnection = class(connectionMethods)

local metadataMethods = {}
function metadataMethods:metadata() local it = of(self) return newMap({ id = it.id, which = it.which }) end
local newPlace = class(metadataMethods)

local keyMethods = {}
function keyMethods:get() return of(self).der end
local newKey = class(keyMethods)

local handleMethods = missing("handle", "connectionStreamInfo")
local newHandle = class(handleMethods)
local function kept(name, make)
  return function(self)
    local it = of(self)
    if it[name] == nil then it[name] = make(it) end
    return it[name]
  end
end
handleMethods.headers = kept("headers", function(it) return newHeaders({ id = it.id, which = "headers" }) end)
handleMethods.streamInfo = kept("info", newInfo)
handleMethods.connection = kept("connection", newConnection)
handleMethods.metadata = kept("metadata", function(it) return newMap({ id = it.id, which = "metadata" }) end)
handleMethods.virtualHost = kept("virtualHost", function(it) return newPlace({ id = it.id, which = "virtualHostMetadata" }) end)
handleMethods.route = kept("route", function(it) return newPlace({ id = it.id, which = "routeMetadata" }) end)
function handleMethods:body(always)
  local it = of(self)
  if wait("body", it.id) or always then return newBuffer(it) end
  return nil
end
function handleMethods:bodyChunks()
  local it = of(self)
  -- An iterator of Lua 5.1 cannot wait, so the chunk is the whole body.
  local chunk = wait("body", it.id) and newBuffer(it) or nil
  return function()
    local now = chunk
    chunk = nil
    return now
  end
end
function handleMethods:trailers()
  local it = of(self)
  if wait("trailers", it.id) then return newHeaders({ id = it.id, which = "trailers" }) end
  return nil
end
function handleMethods:httpCall(cluster, headers, body, options, asynchronous)
  local it = of(self)
  if type(headers) ~= "table" then fail("bad argument #2 to 'httpCall' (table expected)") end
  if body ~= nil then body = text(body, 3, "httpCall") end
  local given = options
  if type(given) ~= "table" then
    if tonumber(given) == nil then fail("bad argument #4 to 'httpCall' (number or table expected)") end
    if asynchronous ~= nil and type(asynchronous) ~= "boolean" then
      fail("http call asynchronous flag must be 'true', 'false', or empty")
    end
    given = { timeout_ms = tonumber(given), asynchronous = asynchronous }
  end
  ask("callCheck", it.id, text(cluster, 1, "httpCall"), headers, body, given)
  if given.asynchronous then return ask("callAsync", it.id, cluster, headers, body, given) end
  return wait("call", it.id, cluster, headers, body, given)
end
function handleMethods:respond(headers, body)
  local it = of(self)
  if type(headers) ~= "table" then fail("bad argument #1 to 'respond' (table expected)") end
  if body ~= nil then body = text(body, 2, "respond") end
  ask("respondCheck", it.id, headers)
  return wait("respond", it.id, headers, body)
end
for level, name in ipairs({ "logTrace", "logDebug", "logInfo", "logWarn", "logErr", "logCritical" }) do
  handleMethods[name] = function(self, message) ask("log", of(self).id, level, text(message, 1, name)) end
end
function handleMethods:log(level, message) ask("log", of(self).id, (tonumber(level) or 2) + 1, text(message, 2, "log")) end
function handleMethods:clearRouteCache() ask("clearRoute", of(self).id) end
function handleMethods:setUpstreamOverrideHost(host, strict)
  local it = of(self)
  if strict ~= nil and type(strict) ~= "boolean" then fail("bad argument #2 to 'setUpstreamOverrideHost' (boolean expected)") end
  ask("prefer", it.id, text(host, 1, "setUpstreamOverrideHost"), strict == true)
end
function handleMethods:filterContext() return ask("map", of(self).id, "filterContext") end
function handleMethods:importPublicKey(der, length)
  of(self)
  return newKey({ der = sub(text(der, 1, "importPublicKey"), 1, tonumber(length) or #der) })
end
function handleMethods:verifySignature(hash, key, signature, signatureLength, data, dataLength)
  local it = of(self)
  return ask("verify", it.id, text(hash, 1, "verifySignature"), of(key).der,
    sub(text(signature, 3, "verifySignature"), 1, tonumber(signatureLength) or #signature),
    sub(text(data, 5, "verifySignature"), 1, tonumber(dataLength) or #data))
end
function handleMethods:base64Escape(value) return ask("base64", of(self).id, text(value, 1, "base64Escape")) end
function handleMethods:timestamp(resolution)
  if resolution ~= nil and resolution ~= 0 then fail("timestamp format must be MILLISECOND.") end
  return ask("timestamp", of(self).id)
end
function handleMethods:timestampString(resolution)
  if resolution ~= nil and resolution ~= 0 and resolution ~= 1 then
    fail("timestamp resolution must be MILLISECOND or MICROSECOND.")
  end
  return ask("timestampString", of(self).id, resolution or 0)
end
EnvoyTimestampResolution = { MILLISECOND = 0, MICROSECOND = 1 }

-- Coroutines of the script's own, and calls that catch errors, let waits pass.
local function pass(co, ...)
  if select("#", ...) >= 2 and (...) == true and select(2, ...) == waiting then
    return pass(co, coresume(co, coyield(select(2, ...))))
  end
  return ...
end
function coroutine.resume(co, ...) return pass(co, coresume(co, ...)) end
function coroutine.wrap(f)
  local co = cocreate(f)
  return function(...)
    local function result(ok, ...)
      if not ok then error((...), 0) end
      return ...
    end
    return result(pass(co, coresume(co, ...)))
  end
end
-- A script whose time is over cannot catch that, and all its yields are its own.
local function caught(co, handler, ok, ...)
  if ok then
    if costatus(co) == "dead" then return true, ... end
    return caught(co, handler, coresume(co, coyield(...)))
  end
  if host("overdue") then error((...), 0) end
  if handler then return false, handler(...) end
  return false, ...
end
function pcall(f, ...)
  if type(f) ~= "function" then
    local meta = rawmeta(f)
    if not (meta and meta.__call) then return false, "attempt to call a " .. type(f) .. " value" end
  end
  local given, count = { ... }, select("#", ...)
  local co = cocreate(function() return f(unpack(given, 1, count)) end)
  return caught(co, nil, coresume(co))
end
function xpcall(f, handler, ...)
  local given, count = { ... }, select("#", ...)
  local co = cocreate(function() return f(unpack(given, 1, count)) end)
  return caught(co, handler, coresume(co))
end

-- LuaJIT's share of Lua 5.2, and its functions for bits.
function pairs(value)
  local meta = rawmeta(value)
  local own = meta and rawget(meta, "__pairs")
  if own then return own(value) end
  return rawpairs(value)
end
function _G.ipairs(value)
  local meta = rawmeta(value)
  local own = meta and rawget(meta, "__ipairs")
  if own then return own(value) end
  return ipairs(value)
end
table.unpack = unpack
function table.pack(...) return { n = select("#", ...), ... } end
function math.log(value, base) return base and log(value) / log(base) or log(value) end
function string.rep(value, count, between)
  if between == nil or between == "" or count < 2 then return rep(value, count) end
  return rep(value .. between, count - 1) .. value
end
-- The functions for patterns that search by counted steps. A text that is short enough for its pattern does not get here.
local function integer(value, absent, position, name)
  if value == nil then return absent end
  local number = tonumber(value)
  if not number then fail(format("bad argument #%d to '%s' (number expected, got %s)", position, name, type(value))) end
  return number < 0 and ceil(number) or floor(number)
end
local function begin(s, init, name)
  init = integer(init, 1, 3, name)
  if init < 0 then init = #s + init + 1 end
  if not (init >= 1) then return 1 end
  return init > #s and #s + 1 or init
end
local function found(from, ...)
  if from == false then fail((...)) end
  return from, ...
end
-- Without captures, the match itself counts as one.
local function captured(s, from, to, ...)
  if from and select("#", ...) == 0 then return sub(s, from, to) end
  return ...
end
local function find(s, pattern, init, plain)
  return found(search(s, pattern, begin(s, init, "find"), plain and "plain" or "anchored"))
end
local function match(s, pattern, init)
  local function result(from, ...)
    -- A call such as tostring(s:match(pattern)) needs a value.
    if not from then return nil end
    return captured(s, from, ...)
  end
  return result(found(search(s, pattern, begin(s, init, "match"), "anchored")))
end
local function gmatch(s, pattern)
  local at = 1
  local function step(from, to, ...)
    if not from then
      at = #s + 2
      return
    end
    at = to < from and from + 1 or to + 1
    return captured(s, from, to, ...)
  end
  return function()
    if at > #s + 1 then return end
    return step(found(search(s, pattern, at, "anywhere")))
  end
end
local function replacement(repl, whole, ...)
  local kind, count, value = type(repl), select("#", ...), nil
  local first = count == 0 and whole or (...)
  if kind == "function" then
    if count == 0 then value = repl(whole) else value = repl(...) end
  elseif kind == "table" then value = repl[first]
  else
    local captures = { ... }
    -- A final percent sign takes the zero byte behind the text with it, as in C.
    return (gsub(repl, "%%(.?)", function(digit)
      if digit == "" then return "\0" end
      if digit == "0" then return whole end
      if digit == "1" then return tostring(first) end
      if not tonumber(digit) then return digit end
      return captures[tonumber(digit)] or fail("invalid capture index")
    end))
  end
  if not value then return whole end
  if type(value) ~= "string" and type(value) ~= "number" then fail("invalid replacement value (a " .. type(value) .. ")") end
  return value
end
local function replace(s, pattern, repl, max)
  local kind = type(repl)
  if kind ~= "string" and kind ~= "number" and kind ~= "table" and kind ~= "function" then
    fail("bad argument #3 to 'gsub' (string/function/table expected)")
  end
  local parts, at, count, most = {}, 1, 0, integer(max, #s + 1, 4, "gsub")
  local anchored = byte(pattern) == 94
  local function step(from, to, ...)
    if not from then return false end
    count = count + 1
    parts[#parts + 1] = sub(s, at, from - 1)
    parts[#parts + 1] = replacement(repl, sub(s, from, to), ...)
    at = to + 1
    if to < from then
      parts[#parts + 1] = sub(s, at, at)
      at = at + 1
    end
    return not anchored
  end
  while count < most and at <= #s + 1 and step(found(search(s, pattern, at, "anchored"))) do end
  parts[#parts + 1] = sub(s, at)
  return table.concat(parts), count
end
string.find, string.match = guard(string.find, find, true), guard(string.match, match)
string.gmatch, string.gsub = guard(string.gmatch, gmatch), guard(string.gsub, replace)
-- The old name of gmatch, which would reach the C function.
string.gfind = string.gmatch
function string.format(pattern, ...)
  local given, count, at = { ... }, select("#", ...), 0
  if type(pattern) == "string" then
    gsub(gsub(pattern, "%%%%", ""), "%%[-+ #0]*%d*%.?%d*(%a)", function(kind)
      at = at + 1
      local value = given[at]
      if kind == "s" and at <= count and type(value) ~= "string" and type(value) ~= "number" then given[at] = tostring(value) end
      return ""
    end)
  end
  return format(pattern, unpack(given, 1, count))
end
local function textual(chunk)
  if byte(chunk) == 27 then error("only text can be loaded", 3) end
  return chunk
end
local rawloadstring = loadstring
function loadstring(chunk, name) return rawloadstring(textual(chunk), name or chunk) end
function load(chunk, name, mode, env)
  local f, problem
  if type(chunk) == "string" then f, problem = rawloadstring(textual(chunk), name or chunk)
  else
    local parts = {}
    for part in chunk do
      if part == "" then break end
      parts[#parts + 1] = part
    end
    f, problem = rawloadstring(textual(table.concat(parts)), name or "=(load)")
  end
  if f and env then setfenv(f, env) end
  return f, problem
end
bit = {}
for name in ("tobit band bor bxor bnot lshift rshift arshift rol ror bswap tohex"):gmatch("%S+") do
  bit[name] = function(...) return ask("bit", name, ...) end
end
local libraries = { bit = bit, string = string, table = table, math = math, coroutine = coroutine }
function require(name) return libraries[name] or error("module '" .. tostring(name) .. "' is not available to scripts", 2) end
function print(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  host("print", table.concat(parts, "\t"))
end
local began = ask("clock")
os = {
  time = function(given) return ask("time", given) end,
  clock = function() return ask("clock") - began end,
  difftime = function(later, earlier) return later - (earlier or 0) end,
  date = function(pattern, at) return ask("date", pattern or "%c", at or false) end,
}
io, package, module, dofile, loadfile, debug, _G.newproxy = nil, nil, nil, nil, nil, nil, nil

-- Runs one of the script's two functions for a stream.
return function(kind, id)
  local f = _G["envoy_on_" .. kind]
  if f then f(newHandle({ id = id })) end
end, waiting
`;
