import assert from "node:assert/strict";
import { test } from "node:test";
import { envPort, envWhole } from "./env.ts";

test("a port and a count refuse a number out of their bounds, and the message has the variable's name", () => {
  assert.deepEqual([envPort({}, "PORT", 8000), envPort({ PORT: "0" }, "PORT", 8000)], [8000, 0]);
  for (const port of ["-1", "65536"])
    assert.throws(() => envPort({ PORT: port }, "PORT", 8000), {
      message: `PORT must be a port from 0 to 65535, got "${port}"`,
    });
  assert.deepEqual([envWhole({}, "COUNT", 8, 1), envWhole({ COUNT: "1" }, "COUNT", 8, 1)], [8, 1]);
  assert.throws(() => envWhole({ COUNT: "0" }, "COUNT", 8, 1), {
    message: 'COUNT must be a whole number from 1 on, got "0"',
  });
  assert.throws(() => envWhole({ COUNT: "1.5" }, "COUNT", 8), { message: 'COUNT must be an integer, got "1.5"' });
});
