import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { array, assert as fcAssert, boolean, constantFrom, property } from "fast-check";
import { normalizePath, type PathOptions } from "./path.ts";

const base: PathOptions = { normalize: true, mergeSlashes: false, escapedSlashes: "keep" };
const merging: PathOptions = { ...base, mergeSlashes: true };
const decoding: PathOptions = { ...merging, escapedSlashes: "unescape-and-forward" };
const none: PathOptions = { normalize: false, mergeSlashes: false, escapedSlashes: "keep" };

/** The results of a stock Envoy 1.40 in each of Istio's modes. */
const rows: readonly (readonly [written: string, base: string | undefined, merging?: string, decoding?: string])[] = [
  ["/admin", "/admin"],
  ["/x/../admin", "/admin"],
  ["/../admin", "/admin"],
  ["/admin/..", "/"],
  ["/admin/.", "/admin/"],
  ["//admin", "//admin", "/admin"],
  ["/x/..//admin", "//admin", "/admin"],
  ["/x/..;/admin", "/admin"],
  ["/..;/admin", "/admin"],
  ["/x/..;a=b/admin", "/admin"],
  ["/x/.;/admin", "/x/admin"],
  ["/;/admin", "/;/admin"],
  ["/admin;a=b", "/admin;a=b"],
  ["/x/...;/admin", "/x/...;/admin"],
  ["/x/..admin", "/x/..admin"],
  ["/x/..%3b/admin", "/x/..%3b/admin"],
  ["/%61dmin", "/admin"],
  ["/%2561dmin", "/%2561dmin"],
  ["/x/%2E./admin", "/admin"],
  ["/%2fadmin", "/%2fadmin", "/%2fadmin", "/admin"],
  ["/x%2F..%2fadmin", "/x%2F..%2fadmin", "/x%2F..%2fadmin", "/admin"],
  ["/x/..%5cadmin", "/x/..%5cadmin", "/x/..%5cadmin", "/admin"],
  ["/\\admin", "//admin", "/admin"],
  ["/x\\..\\admin", "/admin"],
  ["/admin%", "/admin%"],
  ["/admin%2", "/admin%2"],
  ["/admin%zz", "/admin%zz"],
  ["/admin%00", undefined],
  ["/admin|", "/admin%7C"],
  ['/admin"<>^`{}', "/admin%22%3C%3E%5E%60%7B%7D"],
  ["/admin%7e%2d%5f", "/admin~-_"],
  ["/admin%c3%a9", "/admin%c3%a9"],
];

describe("a path's normal form", () => {
  for (const [written, inBase, inMerging = inBase, inDecoding = inMerging] of rows)
    test(`${written} is ${inBase ?? "refused"}`, () => {
      assert.deepEqual(
        [base, merging, decoding].map((options) => normalizePath(written, options)),
        [inBase, inMerging, inDecoding],
      );
    });

  test("is the unchanged path if normalisation is off", () => {
    for (const [written] of rows) assert.equal(normalizePath(written, none), written);
  });

  test("recognises escaped dots beside a parameter, which would become dots behind the proxy", () => {
    assert.equal(normalizePath("/x/%2e%2e;/admin", base), "/admin");
  });

  test("refuses an escape that decoding would create: /%2%65 becomes /%2e", () => {
    for (const written of ["/x/%2%65%2%65/admin", "/%%32e", "/%%30%30"])
      assert.equal(normalizePath(written, base), undefined);
  });

  test("refuses a slash that decoding would hide in a new escape, after slashes were decoded", () => {
    for (const written of ["/admin%%32fsecret", "/admin%2%66secret", "/admin%%35csecret", "/x%2%35%32fadmin"])
      for (const options of [base, decoding, { ...base, escapedSlashes: "reject" as const }])
        assert.equal(normalizePath(written, options), undefined, written);
  });

  test("is its own normal form, and has no segment that climbs", () => {
    const piece = constantFrom(
      "/",
      "//",
      ".",
      "..",
      ";",
      ";a",
      "\\",
      "%2e",
      "%2E",
      "%2f",
      "%5c",
      "%",
      "%2",
      "e",
      "5",
      "c",
      "%61",
      "%32",
      "%35",
      "%66",
      "%25",
      "a",
      "|",
    );
    fcAssert(
      property(array(piece, { maxLength: 14 }), boolean(), boolean(), (pieces, mergeSlashes, decodes) => {
        const options = {
          ...base,
          mergeSlashes,
          escapedSlashes: decodes ? ("unescape-and-forward" as const) : ("keep" as const),
        };
        const path = normalizePath(`/${pieces.join("")}`, options);
        if (path === undefined) return;
        assert.equal(normalizePath(path, options), path);
        assert.doesNotMatch(path, /\/\.\.?(;|\/|$)/);
        if (decodes) assert.doesNotMatch(path, /%2f|%5c/i);
      }),
      { numRuns: 3000 },
    );
  });
});
