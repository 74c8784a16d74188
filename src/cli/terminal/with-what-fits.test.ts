import assert from "node:assert/strict";
import { test } from "node:test";
import { withWhatFits } from "./with-what-fits.ts";

const columns = [
  { title: "A", spare: 3, width: 4 },
  { title: "B", spare: 0, width: 9 },
  { title: "C", spare: 2, width: 6 },
  { title: "D", spare: 1, width: 20 },
];

test("removed columns that fit the remaining width are restored in order of importance, at their original positions", () => {
  const shown = (room: number): string =>
    withWhatFits(columns, columns.slice(1, 2), ({ width }) => width, room)
      .map(({ title }) => title)
      .join("");
  assert.deepEqual([-1, 3, 4, 6, 10, 20, 30].map(shown), ["B", "B", "AB", "BC", "ABC", "BD", "ABCD"]);
});
