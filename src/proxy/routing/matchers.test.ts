import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultHeadLimits, MessageHead, scanRequestHead } from "../../wire/http1/index.ts";
import { testRequest } from "../testing/filter-request.ts";
import {
  containing,
  endingWith,
  exactly,
  headerMatches,
  inRange,
  matchingRegex,
  startingWith,
  type HeaderCondition,
  type StringMatcher,
} from "./matchers.ts";
import type { RequestView } from "./request-view.ts";

function requestWith(values: readonly string[]): RequestView {
  const head = new MessageHead();
  const fields = values.map((value) => `X-Role: ${value}\r\n`).join("");
  const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a.test\r\n${fields}\r\n`);
  assert.ok(scanRequestHead(head, bytes, 0, bytes.length, defaultHeadLimits) > 0);
  return { head, method: "GET", path: "/", query: "", authority: "a.test", scheme: "http" };
}

const admin = { matchesWhole: (text: string): boolean => text === "admin" };
const kinds: readonly (readonly [kind: string, matches: StringMatcher, wanted: string, other: string])[] = [
  ["exact", exactly("admin"), "admin", "user"],
  ["exact without case", exactly("admin", true), "ADMIN", "user"],
  ["prefix", startingWith("admin"), "administrator", "my-admin"],
  ["suffix", endingWith("admin"), "my-admin", "administrator"],
  ["contains", containing("dmi"), "admin", "user"],
  ["regex", matchingRegex(admin), "admin", "user"],
  ["range", inRange(5n, 8n), "5", "9"],
  ["the empty text", exactly(""), "", "user"],
];

describe("a header that occurs several times", () => {
  for (const [kind, value, wanted, other] of kinds) {
    test(`matches by ${kind} if any of its values does, and inverted if none does`, () => {
      const shapes = [
        [wanted],
        [wanted, wanted],
        [wanted, other],
        [other, wanted],
        [other, wanted, other],
        [wanted, "x"],
      ];
      const condition: HeaderCondition = { name: "x-role", value, invert: false, treatMissingAsEmpty: false };
      const matches = headerMatches(condition);
      const inverted = headerMatches({ ...condition, invert: true });
      for (const values of shapes)
        for (const request of [requestWith(values), testRequest("/", { repeated: { "x-role": values } })]) {
          assert.equal(matches(request), true, JSON.stringify(values));
          assert.equal(inverted(request), false, JSON.stringify(values));
        }
      for (const values of [[other], [other, other]]) {
        assert.equal(matches(requestWith(values)), false);
        assert.equal(inverted(requestWith(values)), true);
      }
      // No condition matches if the field is absent, whether inverted or not.
      assert.equal(matches(requestWith([])), false);
      assert.equal(inverted(requestWith([])), false);
    });
  }

  test("is present, whatever its values are", () => {
    const present = headerMatches({ name: "x-role", invert: false, treatMissingAsEmpty: false });
    assert.deepEqual(
      [[""], ["", ""], ["a", "b"], []].map((values) => present(requestWith(values))),
      [true, true, true, false],
    );
  });

  test("is not a list: values are not joined by a comma", () => {
    const joined = headerMatches({ name: "x-role", value: exactly("a,b"), invert: false, treatMissingAsEmpty: false });
    assert.deepEqual([joined(requestWith(["a", "b"])), joined(requestWith(["a,b"]))], [false, true]);
  });
});

test("a match on host uses the authority that routes use, not a Host field that an absolute target overrides", () => {
  const host = headerMatches({ name: "host", value: exactly("b.test"), invert: false, treatMissingAsEmpty: false });
  assert.equal(host({ ...requestWith([]), authority: "b.test" }), true);
  assert.equal(host(requestWith([])), false);
});
