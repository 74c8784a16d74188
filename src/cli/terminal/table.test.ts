import assert from "node:assert/strict";
import { test } from "node:test";
import { renderTable } from "./table.ts";

test("a cell's control characters are written out, and only the style may add some", () => {
  const text = renderTable(["NAME", "STATE"], [["\u001B[2Jweb\r", "ok"]], 3, (cell) => `\u001B[1m${cell}\u001B[0m`);
  assert.equal(text, "NAME             STATE\n\u001B[1m\\x1b[2Jweb\\x0d\u001B[0m   \u001B[1mok\u001B[0m\n");
});

test("one endless cell does not push the columns of other rows out of sight", () => {
  const [head = "", web = "", endless = ""] = renderTable(
    ["NAME", "STATE"],
    [
      ["web", "ok"],
      ["x".repeat(5_000), "ok"],
    ],
  ).split("\n");
  assert.deepEqual([head, web], ["NAME   STATE", "web    ok"]);
  assert.equal(endless, `${"x".repeat(5_000)}   ok`);
});
