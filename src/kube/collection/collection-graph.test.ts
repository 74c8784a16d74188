import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { Collection, CollectionChange } from "../collection.ts";
import { Memos } from "../memo/index.ts";
import { CollectionGraph } from "./collection-graph.ts";

interface Pod {
  readonly name: string;
  readonly app: string;
  readonly node: string;
}

interface Service {
  readonly name: string;
  readonly app: string;
}

function buildGraph() {
  const graph = new CollectionGraph();
  const pods = graph.source<Pod>("pods");
  const services = graph.source<Service>("services");
  const nodes = graph.source<string>("nodes");
  const podsByApp = pods.index("app", (pod) => [pod.app]);
  const endpoints = graph.derive("endpoints", services, (service, reader) => [
    [
      service.name,
      reader.lookup(podsByApp, service.app).map((pod) => `${pod.name}@${reader.get(nodes, pod.node) ?? "?"}`),
    ],
  ]);
  const summary = graph.derive("summary", endpoints, (addresses, reader, key) =>
    addresses.length === 0 ? [] : [[key, `${addresses.length} of ${reader.all(nodes).length}`]],
  );
  return { graph, pods, services, nodes, endpoints, summary };
}

test("a change recomputes only items that read the changed ones", () => {
  const { graph, pods, services, nodes, endpoints, summary } = buildGraph();
  graph.batch(() => {
    for (let index = 0; index < 50; index += 1) {
      services.set(`s${index}`, { name: `s${index}`, app: `a${index}` });
      pods.set(`p${index}`, { name: `p${index}`, app: `a${index}`, node: `n${index % 5}` });
    }
    for (let index = 0; index < 5; index += 1) nodes.set(`n${index}`, `zone${index}`);
  });
  const before = endpoints.stats.recomputations;
  pods.set("p7b", { name: "p7b", app: "a7", node: "n1" });
  assert.equal(endpoints.stats.recomputations - before, 1);
  assert.deepEqual(endpoints.get("s7"), ["p7@zone2", "p7b@zone1"]);
  nodes.set("n1", "zone9");
  assert.equal(endpoints.stats.recomputations - before, 1 + 11);
  assert.equal(summary.get("s7"), "2 of 5");
});

test("an equal result is not propagated, and subscribers get one batch after everything has settled", () => {
  const { graph, pods, services, nodes, endpoints, summary } = buildGraph();
  const changesSeen: (readonly CollectionChange<string>[])[] = [];
  summary.subscribe((changes) => changesSeen.push(changes));
  endpoints.subscribe(() => assert.equal(summary.size, endpoints.size === 0 ? 0 : 1));
  graph.batch(() => {
    nodes.set("n", "zone");
    services.set("s", { name: "s", app: "a" });
    pods.set("p", { name: "p", app: "a", node: "n" });
  });
  assert.deepEqual(changesSeen, [[], [{ type: "set", key: "s", item: "1 of 1", previous: undefined }]]);
  const before = summary.stats.recomputations;
  pods.set("p", { name: "p", app: "a", node: "n" });
  assert.equal(summary.stats.recomputations, before);
  assert.equal(changesSeen.length, 2);
});

test("a collection may not read a later one", () => {
  const graph = new CollectionGraph();
  const source = graph.source<string>("source");
  const late: { collection?: ReturnType<typeof buildGraph>["summary"] } = {};
  graph.derive("early", source, (_item, reader) =>
    late.collection === undefined ? [] : [["x", reader.get(late.collection, "x")]],
  );
  late.collection = graph.derive("late", source, (item) => [["x", item]]);
  assert.throws(() => source.set("a", "b"), /no cycle/);
});

test("an input whose computation throws keeps its previous result", () => {
  const failures: string[] = [];
  const graph = new CollectionGraph({ failed: (collection, key) => failures.push(`${collection}/${key}`) });
  const source = graph.source<number>("source");
  const derived = graph.derive("inverse", source, (item, _reader, key) => {
    if (item === 0) throw new Error("division by zero");
    return [[key, 1 / item]];
  });
  source.set("a", 2);
  source.set("a", 0);
  assert.deepEqual(failures, ["inverse/a"]);
  assert.equal(derived.get("a"), 0.5);
  source.delete("a");
  assert.equal(derived.size, 0);
});

test("elements of lists exist as long as any list has them, and only changes are reported", () => {
  const graph = new CollectionGraph();
  const lists = graph.source<readonly { readonly name: string; readonly from: string }[]>("lists");
  const elements = graph.flatten(
    "elements",
    lists,
    (list) => list,
    ({ name }) => name,
  );
  const lengths = graph.derive("lengths", elements, ({ name, from }) => [[name, `${name} of ${from}`]]);
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => ({ name, from: "one" }));
  lists.set("one", [a, b, c] as never);
  lists.set("two", [{ name: "b", from: "two" }]);
  const changesSeen: string[] = [];
  elements.onChange((changes) => changesSeen.push(...changes.map((change) => `${change.type} ${change.key}`)));
  const before = lengths.stats.recomputations;
  lists.set("one", [a, b, d, c] as never);
  assert.deepEqual([changesSeen, lengths.stats.recomputations - before], [["set d"], 1]);
  lists.set("one", [a, c] as never);
  assert.deepEqual([changesSeen.slice(1), lengths.get("b")], [["set b", "delete d"], "b of two"]);
  lists.delete("two");
  lists.delete("one");
  assert.equal(lengths.size, 0);
});

test("writes by subscribers are also settled", () => {
  const graph = new CollectionGraph();
  const first = graph.source<number>("first");
  const second = graph.source<number>("second");
  const doubled = graph.derive("doubled", second, (item, _reader, key) => [[key, item * 2]]);
  first.subscribe((changes) => {
    for (const change of changes) if (change.type === "set") second.set(change.key, change.item);
  });
  first.set("a", 4);
  assert.equal(doubled.get("a"), 8);
});

const keyName = fc.integer({ min: 0, max: 5 }).map((index) => `k${index}`);
const operation = fc.oneof(
  fc.record({
    kind: fc.constant("pod" as const),
    key: keyName,
    app: fc.constantFrom("a", "b", "c"),
    node: fc.constantFrom("n0", "n1"),
  }),
  fc.record({ kind: fc.constant("service" as const), key: keyName, app: fc.constantFrom("a", "b", "c") }),
  fc.record({
    kind: fc.constant("node" as const),
    key: fc.constantFrom("n0", "n1"),
    zone: fc.constantFrom("z0", "z1"),
  }),
  fc.record({
    kind: fc.constant("remove" as const),
    from: fc.constantFrom("pods" as const, "services" as const, "nodes" as const),
    key: fc.oneof(keyName, fc.constantFrom("n0", "n1")),
  }),
);

test("the graph equals a computation from scratch, for any order and batches", () => {
  fc.assert(
    fc.property(fc.array(fc.array(operation, { maxLength: 4 }), { maxLength: 12 }), (batches) => {
      const live = richGraph();
      const last = {
        pods: new Map<string, Pod>(),
        services: new Map<string, Service>(),
        nodes: new Map<string, string>(),
      };
      for (const batch of batches) {
        live.graph.batch(() => {
          for (const step of batch) {
            if (step.kind === "pod") write("pods", step.key, { name: step.key, app: step.app, node: step.node });
            else if (step.kind === "service") write("services", step.key, { name: step.key, app: step.app });
            else if (step.kind === "node") write("nodes", step.key, step.zone);
            else {
              live[step.from].delete(step.key);
              last[step.from].delete(step.key);
            }
          }
        });
      }
      function write<Name extends "pods" | "services" | "nodes">(
        name: Name,
        key: string,
        item: Pod | Service | string,
      ): void {
        (live[name] as { set(key: string, item: unknown): void }).set(key, item);
        (last[name] as Map<string, unknown>).set(key, item);
      }
      const fresh = richGraph();
      fresh.graph.batch(() => {
        for (const [key, item] of last.pods) fresh.pods.set(key, item);
        for (const [key, item] of last.services) fresh.services.set(key, item);
        for (const [key, item] of last.nodes) fresh.nodes.set(key, item);
      });
      for (const name of ["endpoints", "summary", "zones", "owners"] as const) {
        assert.deepEqual(sortedEntries(live[name]), sortedEntries(fresh[name]), name);
      }
    }),
    { numRuns: 300 },
  );
});

function richGraph() {
  const base = buildGraph();
  const servicesByApp = base.services.index("app", (service) => [service.app]);
  const zones = base.graph.derive("zones", base.pods, (pod, reader) => {
    const zone = reader.get(base.nodes, pod.node);
    return zone === undefined
      ? []
      : [[`${zone}/${pod.name}`, reader.lookup(servicesByApp, pod.app).map((service) => service.name)]];
  });
  // Several pods yield the same key in this collection.
  const owners = base.graph.derive("owners", base.pods, (pod) => [[pod.app, `${pod.name} on ${pod.node}`]]);
  return { ...base, zones, owners };
}

function sortedEntries(collection: Collection<unknown>): unknown[] {
  return [...collection.entries()].sort(([left], [right]) => (left < right ? -1 : 1));
}

test("a collection that is created late, even by a subscriber, is complete after the next settling and current afterwards", () => {
  const scheduled: (() => void)[] = [];
  const graph = new CollectionGraph({ schedule: (settle) => void scheduled.push(settle) });
  const numbers = graph.source<number>("numbers");
  const late: Collection<number>[] = [];
  const changedKeys: (readonly string[])[] = [];
  // Two collections of which one depends on the other, and an index of an earlier collection.
  const derive = (): Collection<number> => {
    const byParity = numbers.index("parity", (value) => [String(value % 2)]);
    const doubled = graph.derive("doubled", numbers, (value, _reader, key) => [[key, value * 2]]);
    return graph.derive("peers", doubled, (value, reader, key) => [
      [key, reader.lookup(byParity, String((value / 2) % 2)).length],
    ]);
  };
  numbers.onChange((changes) => {
    if (late.length > 0 || !changes.some(({ key }) => key === "sign")) return;
    const made = derive();
    late.push(made);
    made.onChange((changed) => changedKeys.push(changed.map(({ key }) => key)));
  });
  graph.batch(() => {
    numbers.set("a", 1);
    numbers.set("b", 2);
  });
  assert.deepEqual(
    graph.collections.map(({ name }) => name),
    ["numbers"],
  );
  graph.batch(() => numbers.set("sign", 3));
  assert.deepEqual(
    ["a", "b", "sign"].map((key) => late[0]?.get(key)),
    [2, 1, 2],
  );
  numbers.set("c", 4);
  scheduled.splice(0).forEach((settle) => settle());
  assert.deepEqual([late[0]?.get("b"), late[0]?.get("c")], [2, 2]);
  assert.deepEqual(
    changedKeys.map((keys) => [...keys].sort()),
    [
      ["a", "b", "sign"],
      ["b", "c"],
    ],
  );
  // Creating a collection after a settling requests another settling.
  const another = graph.derive("another", numbers, (value, _reader, key) => [[key, value]]);
  assert.deepEqual([another.size, scheduled.length], [0, 1]);
  graph.settle();
  assert.equal(another.size, 4);
});

test("a subscriber that throws affects neither the others nor later changes", () => {
  const failures: string[] = [];
  for (const subscriberFailed of [
    undefined,
    (collection: string, error: unknown) => void failures.push(`${collection}: ${String(error)}`),
  ]) {
    const graph = new CollectionGraph(subscriberFailed === undefined ? {} : { subscriberFailed });
    const [first, second] = [graph.source<number>("first"), graph.source<number>("second")];
    const notified: string[] = [];
    first.onChange(() => {
      throw new Error("broken");
    });
    for (const collection of [first, second])
      collection.onChange((changes) => notified.push(...changes.map(({ key }) => `${collection.name} ${key}`)));
    const write = (key: string): void =>
      graph.batch(() => {
        first.set(key, 1);
        second.set(key, 1);
      });
    if (subscriberFailed === undefined) assert.throws(() => write("a"), /broken/);
    else write("a");
    assert.deepEqual(notified, ["first a", "second a"]);
  }
  assert.deepEqual(failures, ["first: Error: broken"]);
});

test("a graph shows the memos that its computations use", () => {
  const memos = new Memos();
  const graph = new CollectionGraph({ memos });
  memos.memo<object, number>("hosts").of({}, () => 1);
  assert.deepEqual(graph.memos, { hosts: { size: 1, computations: 1 } });
  assert.deepEqual(new CollectionGraph().memos, {});
});

/** Numbers, doubled and then summed up. */
function buildSums(options: ConstructorParameters<typeof CollectionGraph>[0] = {}) {
  const graph = new CollectionGraph(options);
  const numbers = graph.source<number>("numbers");
  const doubled = graph.derive("doubled", numbers, (value, _reader, key) => [[key, value * 2]]);
  const sums = graph.derive("sums", numbers, (value, reader, key) => [
    [key, value + (reader.get(doubled, key) ?? Number.NaN)],
  ]);
  return { graph, numbers, doubled, sums };
}

/** Settles in parts of one step each. Returns the number of parts. */
function settleByParts(graph: CollectionGraph, between: (part: number) => void = () => undefined): number {
  for (let part = 1; ; part += 1) {
    if (graph.settleFor(0)) return part;
    between(part);
  }
}

test("a settling in parts pauses between items, and subscribers get one batch at its end", () => {
  const { graph, numbers, sums } = buildSums({ schedule: () => undefined });
  const notified: (readonly string[])[] = [];
  sums.onChange((changes) => notified.push(changes.map(({ key }) => key)));
  for (const key of ["a", "b", "c"]) numbers.set(key, 1);
  const parts = settleByParts(graph, () => assert.deepEqual([graph.isSettling, notified.length], [true, 0]));
  assert.ok(parts > 6, `each of three items of two collections is a part of its own, and there were ${parts}`);
  assert.equal(graph.isSettling, false);
  assert.deepEqual(notified, [["a", "b", "c"]]);
  assert.deepEqual(Object.fromEntries(sums.entries()), { a: 3, b: 3, c: 3 });
  assert.equal(graph.settleFor(0), true, "nothing is left");
});

test("a write during a settling in parts neither prolongs it nor is lost", () => {
  const scheduled: (() => void)[] = [];
  const { graph, numbers, sums } = buildSums({ schedule: (settle) => scheduled.push(settle) });
  for (const key of ["a", "b", "c"]) numbers.set(key, 1);
  assert.equal(scheduled.splice(0).length, 1);
  const parts = settleByParts(graph, (part) => numbers.set("a", 10 + part));
  assert.deepEqual([sums.get("a"), scheduled.length], [3, 1], "the later writes wait for the next settling");
  scheduled.splice(0).forEach((settle) => settle());
  assert.equal(sums.get("a"), 3 * (9 + parts));
  assert.deepEqual(scheduled, []);
});

test("a settling in parts begins once, and the writes that come later have a settling of their own", () => {
  const events: string[] = [];
  const { graph, numbers } = buildSums({
    schedule: () => undefined,
    begun: () => events.push("begun"),
    computed: () => events.push("computed"),
  });
  numbers.set("a", 1);
  settleByParts(graph, (part) => {
    if (part > 1) return;
    events.push("written");
    numbers.set("a", 2);
  });
  graph.settle();
  assert.deepEqual(events, ["begun", "written", "computed", "begun", "computed"]);
});

test("a settling as a whole ends one in parts, and includes the writes that came after its begin", () => {
  const { graph, numbers, sums } = buildSums({ schedule: () => undefined });
  for (const key of ["a", "b", "c"]) numbers.set(key, 1);
  assert.equal(graph.settleFor(0), false);
  graph.batch(() => numbers.set("a", 5));
  assert.deepEqual([graph.isSettling, sums.get("a"), sums.get("b")], [false, 15, 3]);
  numbers.set("b", 7);
  assert.equal(graph.settleFor(0), false);
  numbers.set("c", 9);
  graph.settle();
  assert.deepEqual([graph.isSettling, sums.get("b"), sums.get("c")], [false, 21, 27]);
});

test("a computation that fails ends a settling in parts, and the next one begins anew", () => {
  const graph = new CollectionGraph({ schedule: () => undefined });
  const numbers = graph.source<number>("numbers");
  const checked = graph.derive("checked", numbers, (value, _reader, key) => {
    if (value < 0) throw new Error("negative");
    return [[key, value]];
  });
  numbers.set("a", -1);
  assert.throws(() => settleByParts(graph), /negative/);
  assert.equal(graph.isSettling, false);
  numbers.set("a", 1);
  graph.settle();
  assert.equal(checked.get("a"), 1);
});
