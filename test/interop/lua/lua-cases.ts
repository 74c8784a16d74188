export interface LuaCase {
  readonly name: string;
  readonly script: string;
  readonly method?: string;
  readonly path?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const onRequest = (code: string): string => `function envoy_on_request(h)\n${code}\nend`;
const onResponse = (code: string): string => `function envoy_on_response(h)\n${code}\nend`;
const call = (path: string): string => `{[":method"] = "POST", [":path"] = "${path}", [":authority"] = "side"}`;

/**
 * The upstream answers with the request's method, path, `x-a` and body. Its answers have `x-up` twice, and the status
 * 404 for `/missing`.
 */
export const luaCases: readonly LuaCase[] = [
  {
    name: "headers of a request",
    script: onRequest(`
      local hs = h:headers()
      hs:add("x-a", "one") hs:add("X-A", "two") hs:replace("x-b", "b") hs:remove("x-c")
      hs:add("x-a", tostring(hs:get("x-a")) .. hs:getNumValues("x-a") .. tostring((hs:getAtIndex("x-a", 7))))`),
    headers: { "x-c": "gone" },
  },
  {
    name: "another path",
    script: onRequest('h:headers():replace(":path", "/other?x=1") h:headers():replace(":method", "PUT")'),
  },
  {
    name: "pseudo-headers",
    script: onRequest(
      'local hs = h:headers() hs:add("x-a", hs:get(":method") .. hs:get(":path") .. hs:get(":scheme"))',
    ),
    path: "/p?q=r",
  },
  {
    name: "body of a request",
    script: onRequest('local b = h:body() b:setBytes(b:getBytes(1, 3) .. b:length()) h:headers():add("x-a", "seen")'),
    method: "POST",
    body: "abcdefgh",
  },
  { name: "no body", script: onRequest('h:headers():add("x-a", tostring((h:body())) .. type(h:body(true)))') },
  {
    name: "bytes beyond the body",
    script: onRequest("local b = h:body() b:getBytes(5, 10)"),
    method: "POST",
    body: "abc",
  },
  {
    name: "an answer",
    script: `${onRequest('h:respond({[":status"] = "418", ["x-list"] = {"1", "2"}}, "tea")')}
      ${onResponse('h:headers():add("x-after", h:headers():get(":status"))')}`,
  },
  { name: "an answer without a body", script: onRequest('h:respond({[":status"] = "204"})') },
  { name: "an invalid status", script: onRequest('h:respond({[":status"] = "99"}, "x")') },
  {
    name: "head of a response",
    script: onResponse(`
      local hs = h:headers()
      hs:add("x-seen", hs:get(":status") .. hs:get("x-up") .. hs:getNumValues("x-up"))
      hs:replace(":status", "201") hs:remove("x-up") hs:remove("x-envoy-upstream-service-time")`),
  },
  { name: "body of a response", script: onResponse("h:body():setBytes(h:body():getBytes(0, 4):upper())") },
  {
    name: "chunks of a response",
    script: onResponse("local n = 0 for c in h:bodyChunks() do n = n + c:length() end h:logInfo(n)"),
  },
  {
    name: "status of a 404",
    script: onResponse('h:headers():add("x-seen", h:headers():get(":status"))'),
    path: "/missing",
  },
  { name: "an error in the middle", script: onRequest('h:headers():add("x-a", "kept") error("boom")') },
  { name: "a missing method", script: onRequest("h:noSuchMethod()") },
  { name: "respond in a response", script: onResponse('h:respond({[":status"] = "500"}, "x")') },
  { name: "an unexpected yield", script: onRequest('h:headers():add("x-a", "1") coroutine.yield()') },
  {
    name: "a call",
    script: onRequest(`
      local hs, b = h:httpCall("upstream", ${call("/called")}, "ask", 5000)
      h:headers():add("x-a", hs[":status"] .. b .. hs["x-up"])`),
  },
  {
    name: "a call from a response",
    script: onResponse(`local hs, b = h:httpCall("upstream", ${call("/called")}, nil, 5000) h:headers():add("x-b", b)`),
  },
  {
    name: "a call of an unknown cluster",
    script: onRequest(`h:headers():add("x-a", "1") h:httpCall("none", ${call("/")}, nil, 5000)`),
  },
  {
    name: "a caught error",
    script: onRequest('local ok, e = pcall(function() error({n = 5}) end) h:headers():add("x-a", tostring(ok) .. e.n)'),
  },
  {
    name: "a call inside pcall",
    script: onRequest(`
      local ok, hs, b = pcall(function() return h:httpCall("upstream", ${call("/called")}, "ask", 5000) end)
      h:headers():add("x-a", tostring(ok) .. b)`),
  },
  {
    name: "metadata",
    script: onRequest(`
      local info = h:streamInfo()
      info:dynamicMetadata():set("f", "k", {a = {1, "two", true}})
      local got = info:dynamicMetadata():get("f")
      h:headers():add("x-a", got.k.a[2] .. tostring(got.k.a[3]) .. tostring((h:metadata():get("none"))) .. info:protocol())`),
  },
  {
    name: "numbers and texts",
    script: onRequest(`
      h:headers():add("x-a", 10 / 2)
      h:headers():add("x-a", string.format("%s|%d|%5.2f|%q", nil, 3, 2.5, "a"))
      h:headers():add("x-a", tostring(2^53) .. #"\\195\\164" .. bit.tohex(bit.bxor(255, 1)) .. math.floor(-1.5))`),
  },
  {
    name: "iteration",
    script: onRequest(`
      local seen = {}
      for k, v in pairs(h:headers()) do if k:sub(1, 3) == "x-i" or k:sub(1, 1) == ":" then seen[#seen + 1] = k end end
      table.sort(seen)
      h:headers():add("x-a", table.concat(seen, " "))`),
    headers: { "x-i1": "1", "x-i2": "2" },
  },
  {
    name: "a change while iterating",
    script: onRequest('for k in pairs(h:headers()) do h:headers():add("x-a", k) end'),
  },
  { name: "base64", script: onRequest('h:headers():add("x-a", h:base64Escape("a\\0b\\255"))') },
  { name: "a wrong argument", script: onRequest('h:headers():add("x-a", nil)') },
  { name: "globals", script: `count = 41 ${onRequest('count = count + 1 h:headers():add("x-a", count)')}` },
  { name: "a body that a GET gets", script: onRequest('h:body(true):setBytes("made")'), method: "POST", body: "" },
];
