import assert from "node:assert/strict";
import { test } from "node:test";
import { fittedTable, wrappedLine } from "./fitted-table.ts";

const header = ["NAME", "ISTIOD", "SUBSCRIBED TYPES"];
const rows = [
  ["productpage-v1-6b9f4c5d8-x7k2p.bookinfo", "istiod-canary-7c9d8f6b5-abcde", "4 (CDS,LDS,EDS,RDS)"],
  ["ztunnel-b.istio-system", "istiod-1", "0"],
];

test("a table keeps its layout if the output is not a terminal, or if it fits", () => {
  const table = fittedTable(header, rows, { columns: undefined, gap: 5 });
  assert.match(
    table,
    /^productpage-v1-6b9f4c5d8-x7k2p\.bookinfo {5}istiod-canary-7c9d8f6b5-abcde {5}4 \(CDS,LDS,EDS,RDS\)$/m,
  );
  assert.equal(fittedTable(header, rows, { columns: 200, gap: 5 }), table);
});

test("a table that is too wide narrows its gaps, wraps its last column, then shortens the widest names", () => {
  assert.match(fittedTable(header, rows, { columns: 92, gap: 5 }), /bookinfo {2}istiod-canary-7c9d8f6b5-abcde {2}4 \(/);
  assert.equal(
    fittedTable(header, rows, { columns: 60, gap: 5 }),
    `NAME                  ISTIOD                SUBSCRIBED TYPES
productpag….bookinfo  istiod-can…6b5-abcde  4 (CDS,LDS,EDS,
                                            RDS)
ztunnel-b.…io-system  istiod-1              0
`,
  );
  for (const columns of [44, 50, 70, 80, 100])
    for (const line of fittedTable(header, rows, { columns }).split("\n")) assert.ok(line.length <= columns, line);
});

test("a long line continues below its text, and a command to copy stays whole", () => {
  assert.deepEqual(wrappedLine("  ✘ the roots differ, so no proxy trusts the other", 30), [
    "  ✘ the roots differ, so no",
    "    proxy trusts the other",
  ]);
  const command = "      -> kubectl label --overwrite namespace shop istio.io/rev=new";
  assert.deepEqual(wrappedLine(command, 30), [command]);
  assert.deepEqual(wrappedLine("\u001b[1mshort text\u001b[0m", 10), ["\u001b[1mshort text\u001b[0m"]);
});

test("a cell's control characters and line ends are written out before the table is fitted", () => {
  for (const columns of [undefined, 200, 30])
    assert.match(
      fittedTable(["NAME", "STATE"], [["\u001B[31mweb\nshop", "ok"]], { columns }),
      /^NAME +STATE\n\\x1b\[31mweb\\x0ashop +ok\n$/,
    );
});
