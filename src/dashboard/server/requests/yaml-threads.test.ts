import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../base/index.ts";
import { until } from "../../../base/testing/index.ts";
import { YamlThreads } from "./yaml-threads.ts";

const plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: &l {x: y}, annotations: *l}\n";

test("parsing a slow YAML stops at its deadline without blocking the event loop, and the next one is parsed", async () => {
  const deadlines: (() => void)[] = [];
  const clock = {
    ...systemClock,
    after: (ms: number, run: () => void) => (deadlines.push(run), systemClock.after(Math.min(ms, 1), () => undefined)),
  };
  const threads = new YamlThreads({ threads: 1, clock });
  // The parser compares each key with all keys before it, so this text takes very long.
  const hostile = Array.from({ length: 60_000 }, (_, index) => `k${index}: &a${index} 1`).join("\n");
  const [refused, waits] = [threads.read(hostile), threads.read(plain)];
  await until(() => deadlines.length !== 0);
  deadlines.shift()?.();
  await assert.rejects(refused, { code: "too-long", message: /more time or memory/ });
  const { resources, faults } = await waits;
  assert.deepEqual([resources.map(({ object }) => object.metadata.name), faults], [["a"], []]);
  assert.deepEqual(resources[0]?.source?.positionOf("metadata.labels"), { line: 3, column: 21 });
});

test("endless nesting, aliases of aliases and invalid YAML are faults of the text", async () => {
  const threads = new YamlThreads({ threads: 1 });
  const aliases = `a0: &a0 [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 12 }, (_, index) => `a${index + 1}: &a${index + 1} [${Array<string>(9).fill(`*a${index}`).join(",")}]`).join("\n")}\n`;
  for (const [name, text] of Object.entries({ nested: `a: ${"[".repeat(20_000)}`, aliases, broken: "a: [\nb: 1" })) {
    const { resources, faults } = await threads.read(text);
    assert.deepEqual([resources, faults.length > 0], [[], true], name);
  }
});

test("the number of requests that wait for a thread is limited", async () => {
  const threads = new YamlThreads({ threads: 1 });
  const asked = Array.from({ length: 20 }, async () => await threads.read(plain));
  const answers = await Promise.allSettled(asked);
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array.from({ length: 20 }, (_, index) => (index < 17 ? "fulfilled" : "rejected")),
  );
  assert.equal((answers[19] as PromiseRejectedResult).reason.code, "unavailable");
});
