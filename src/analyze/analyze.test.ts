import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { analyze } from "./analyze.ts";
import { formatMessage } from "./format.ts";
import { readManifest } from "./manifest/manifest.ts";
import { messageTypes } from "./message-types.ts";

// Each file contains objects. Comments in it state facts about the cluster (`# scope: cluster`, `# not served:
// group/Kind`) and the time (`# now: 2027-01-01T00:00:00Z`). Its last lines are the expected messages.
const cases = globSync(join(import.meta.dirname, "testing/cases/*.yaml")).toSorted();

for (const file of cases) {
  const text = readFileSync(file, "utf8");
  const [, title = ""] = /^# (.*)$/m.exec(text) ?? [];
  test(`${basename(file, ".yaml")}: ${title}`, async () => {
    const { resources, faults } = await readManifest(basename(file), text);
    assert.deepEqual(faults, []);
    const notServed = new Set([...text.matchAll(/^# not served: (.*)$/gm)].map(([, kind = ""]) => kind));
    const [, now] = /^# now: (.*)$/m.exec(text) ?? [];
    const messages = analyze(resources, {
      ...(now === undefined ? {} : { nowMs: Date.parse(now) }),
      scope: text.includes("\n# scope: cluster\n") ? "cluster" : "files",
      notServed,
      istioNamespace: "istio-system",
      defaultNamespace: "default",
    });
    const formatted = messages.map((message) => formatMessage(message, { colour: false }));
    assert.deepEqual(
      formatted,
      [...text.matchAll(/^# > (.*)$/gm)].map(([, line = ""]) => line),
    );
  });
}

test("every code is defined once and has a case", () => {
  const codes = Object.values(messageTypes).map(({ code }) => code);
  assert.equal(new Set(codes).size, codes.length);
  const expectedCodes = new Set(
    cases.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/^# > \w+ \[(\w+)\]/gm)].map(([, code = ""]) => code),
    ),
  );
  assert.deepEqual(
    codes.filter((code) => !expectedCodes.has(code)),
    [],
  );
});
