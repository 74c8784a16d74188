import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testRequest } from "../../testing/filter-request.ts";
import { tokenAt } from "./jwt-location.ts";
import { parseToken } from "./jwt-provider.ts";
import { strictJsonObject } from "./strict-json.ts";

const base64 = (text: string): string => Buffer.from(text, "latin1").toString("base64url");
const header = base64('{"alg":"RS256","kid":"one"}');
const tokenOf = (payload: string): string => `${header}.${base64(payload)}.c2ln`;
const isTaken = (token: string): boolean => "claims" in parseToken(token);

describe("a token's text", () => {
  test("is accepted if every reader would read it alike", () => {
    for (const payload of [
      '{"iss":"a","sub":"b","exp":9999999999,"aud":["c","d"]}',
      '{"a":{"x":1},"b":{"x":2},"c":[{"x":1},{"x":1}]}',
      '{"a":"\\"x\\":1","x" : 1}',
      '{"iss":"a","exp":9223372036854775807}',
    ])
      assert.ok(isTaken(tokenOf(payload)), payload);
  });

  for (const [title, payload] of [
    ["an issuer twice", '{"iss":"evil","iss":"good"}'],
    ["a claim twice", '{"group":"dev","group":"admin"}'],
    ["a claim twice, once escaped", '{"group":"dev","gr\\u006fup":"admin"}'],
    ["a name twice further in", '{"a":[{"x":1,"x":2}]}'],
    ["a name twice with space before its colon", `{"x":1,"x"${" ".repeat(500)}:2}`],
    ["text that is no UTF-8", '{"sub":"j\xffoe"}'],
    ["half of a surrogate pair", '{"sub":"\\ud800"}'],
    ["a byte order mark", "\xef\xbb\xbf{}"],
    ["junk behind the object", '{"iss":"a"}x'],
    ["a list", "[]"],
    ["an end beyond 64 bits", '{"exp":1e30}'],
    ["an issue beyond 64 bits", '{"iat":18446744073709551616}'],
    ["a negative end", '{"exp":-1}'],
    ["an end that is a text", '{"exp":"9999999999"}'],
    ["a subject that is a list", '{"sub":["joe"]}'],
    ["an issuer that is a number", '{"iss":1}'],
    ["an audience that is an object", '{"aud":{"a":"b"}}'],
    ["an audience list with a number", '{"aud":["a",1]}'],
    ["nesting without end", `{"a":${"[".repeat(5000)}${"]".repeat(5000)}}`],
  ] as const)
    test(`is refused with ${title}`, () => assert.ok(!isTaken(tokenOf(payload))));

  test("ends with its signature, and has only characters of base64url", () => {
    const good = tokenOf('{"iss":"a"}');
    assert.ok(isTaken(good));
    for (const junk of ["!", ",x", ";x", " x", "\tx", "%20", "=", "/", "+", "\xe9", ".x", "."])
      assert.ok(!isTaken(good + junk), junk);
    assert.ok(!isTaken(good.replace(".", "=.")));
    assert.ok(!isTaken(`${base64('{"alg":"none","alg":"RS256"}')}.${base64("{}")}.c2ln`));
  });

  test("is everything after the prefix, even in a second field", () => {
    const location = { kind: "header", name: "authorization", prefix: "Bearer " } as const;
    const tokenIn = (...authorization: string[]): string | undefined =>
      tokenAt(location, testRequest("/", { repeated: { authorization } }));
    assert.equal(tokenIn("Bearer  a.b.c "), "a.b.c");
    assert.equal(tokenIn("Bearer a.b.c", "Bearer d.e.f"), "a.b.c,Bearer d.e.f");
    assert.equal(tokenIn("Bearer a.b.c;x"), "a.b.c;x");
  });
});

test("JSON of at most a hundred levels is read", () => {
  const nested = (levels: number): Buffer => Buffer.from(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);
  assert.ok(strictJsonObject(nested(100)));
  assert.equal(strictJsonObject(nested(101)), undefined);
});
