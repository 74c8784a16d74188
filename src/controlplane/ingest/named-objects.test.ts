import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { configMapKind } from "../../api/kubernetes/index.ts";
import { createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { NamedObjects, type ObjectName } from "./named-objects.ts";

const maxWatched = 8;

/** Reads the objects that references name. `named` replaces the references of a namespace. */
function reader(context: TestContext) {
  const graph = new CollectionGraph();
  const references = graph.source<ObjectName>("references");
  const read = new Set<string>();
  const lines: string[] = [];
  const objects = new NamedObjects({
    client: new FakeKubeClient(),
    kind: configMapKind,
    references: [references],
    take: ({ namespace, name }) => void read.add(`${namespace}/${name}`),
    forget: (key) => void read.delete(key),
    knownAbsent: () => false,
    clock: systemClock,
    log: createLogger({ scope: "test", level: "info", write: (line) => void lines.push(line) }),
    maxWatched,
  });
  const stop = new AbortController();
  const running = objects.run(stop.signal);
  context.after(async () => {
    stop.abort();
    await running;
  });
  const named = (author: string, keys: readonly string[]): void => {
    const wanted = new Set(keys.map((key) => `${author}|${key}`));
    for (const [key] of references.entries())
      if (key.startsWith(`${author}|`) && !wanted.has(key)) references.delete(key);
    for (const key of keys) {
      const [namespace = "", name = ""] = key.split("/");
      references.set(`${author}|${key}`, { namespace, name, author });
    }
    graph.settle();
  };
  return {
    named,
    read,
    lines,
    untilRead: async (keys: string[]) => await until(() => [...read].sort().join() === keys.join()),
  };
}

const several = (namespace: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${namespace}/${index}`);

test("a namespace that names very many objects has half of the watches, and its own log line", async (context) => {
  const { named, lines, untilRead } = reader(context);
  named("flood", several("flood", 100));
  await untilRead(several("flood", 4));
  named("shop", ["shop/certificate"]);
  await untilRead([...several("flood", 4), "shop/certificate"]);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /a namespace names more objects than are read.*"?namespace"?[=:]"?flood/);
  named("flood", ["flood/7"]);
  await untilRead(["flood/7", "shop/certificate"]);
});

test("objects of another namespace count for the namespace that names them", async (context) => {
  const { named, untilRead } = reader(context);
  named("flood", several("edge", 100));
  await untilRead(several("edge", 4));
  named("edge", ["edge/certificate"]);
  await untilRead([...several("edge", 4), "edge/certificate"]);
});

test("an object that two namespaces name stays read when the one for which it counts no longer names it", async (context) => {
  const { named, untilRead } = reader(context);
  named("shop", ["shop/roots"]);
  named("flood", ["shop/roots", ...several("flood", 100)]);
  await untilRead([...several("flood", 3), "shop/roots"]);
  named("flood", ["shop/roots"]);
  await untilRead(["shop/roots"]);
  named("shop", []);
  named("flood", ["shop/roots", ...several("flood", 100)]);
  // Now the object counts for `flood`, as one of the four that `flood` may have.
  await untilRead([...several("flood", 3), "shop/roots"]);
});
