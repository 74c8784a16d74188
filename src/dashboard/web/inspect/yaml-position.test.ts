import assert from "node:assert/strict";
import { test } from "node:test";
import { hasContent, orderMessages, rangeOfMessage, withoutStatus } from "./yaml-position.ts";

const yaml = `kind: VirtualService
spec:
  http:
    - route:
        - destination:
            host: wrong.shop # to be changed
          weight: 100
`;
const at = (line: number, column: number): string => {
  const { from, to } = rangeOfMessage(yaml, { line, column });
  return yaml.slice(from, to);
};

test("a message marks its key or value", () => {
  assert.equal(at(6, 19), "wrong.shop");
  assert.equal(at(6, 13), "host");
  assert.equal(at(7, 19), "100");
});

test("a message without a column marks the line's text, and one beyond the end the last line", () => {
  assert.equal(at(7, 99), "weight: 100");
  assert.equal(at(3, 1), "http:");
  assert.equal(at(99, 1), "");
  assert.deepEqual(rangeOfMessage("", { line: 1, column: 1 }), { from: 0, to: 0 });
});

test("errors come before warnings, and then lines in order", () => {
  const message = (level: "Error" | "Warning" | "Info", line: number): Parameters<typeof orderMessages>[0][number] => ({
    code: "",
    level,
    message: "",
    path: "",
    line,
    column: 1,
  });
  assert.deepEqual(
    orderMessages([message("Info", 1), message("Warning", 9), message("Error", 7), message("Error", 2)]).map(
      ({ level, line }) => `${level} ${line}`,
    ),
    ["Error 2", "Error 7", "Warning 9", "Info 1"],
  );
});

test("a status is removed from the edited text, wherever it is", () => {
  const text = "kind: X\nspec:\n  status: kept\nstatus:\n  conditions:\n    - type: Ready\n  n: 1\nextra: 1\n";
  assert.equal(withoutStatus(text), "kind: X\nspec:\n  status: kept\nextra: 1\n");
  assert.equal(withoutStatus("kind: X\nstatus: {}\n"), "kind: X\n");
  assert.equal(withoutStatus("kind: X\nspec: {}\n"), "kind: X\nspec: {}\n");
});

test("a text of only comments and separators is not sent", () => {
  assert.equal(hasContent("# x\n---\n\n"), false);
  assert.equal(hasContent("---\nkind: X\n"), true);
});
