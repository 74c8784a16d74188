import assert from "node:assert/strict";
import { test } from "node:test";
import { tarHeader } from "./tar-header.ts";

/** The path that readers of a header see (POSIX ustar): the prefix, a slash, and the name. */
function pathOf(header: Buffer): string {
  const field = (from: number, to: number): string => header.toString("utf8", from, to).replace(/\0.*$/s, "");
  const prefix = field(345, 500);
  return `${prefix === "" ? "" : `${prefix}/`}${field(0, 100)}`;
}

test("long paths survive in a header, also with letters of several bytes", () => {
  for (const path of [
    "values.yaml",
    `${"a".repeat(90)}/${"b".repeat(90)}`,
    `templates/${"ä".repeat(40)}/${"ö".repeat(30)}.yaml`,
    `${"ü".repeat(70)}/${"ö".repeat(50)}`,
  ])
    assert.equal(pathOf(tarHeader({ path, sizeBytes: 1, modifiedSeconds: 0 })), path);
});

test("a path that does not fit keeps its end, and writes into no other field", () => {
  const header = tarHeader({ path: `x/${"ä".repeat(99)}.log`, sizeBytes: 8, modifiedSeconds: 0 });
  assert.match(pathOf(header), /ä{40,}\.log$/);
  assert.equal(header.toString("latin1", 100, 108), "0000644\0");
});
