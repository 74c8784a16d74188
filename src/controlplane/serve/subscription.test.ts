import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncodedResource } from "../translate/index.ts";
import { Subscription } from "./subscription.ts";

test("a change of a name that the client unsubscribes before the change is sent delays no acknowledgement", () => {
  const subscription = new Subscription("type", {
    get: () => undefined,
    all: () => [],
    subscribe: () => ({ [Symbol.dispose]: () => undefined }),
  });
  for (const name of ["left", "kept"]) subscription.names.add(name);
  subscription.change(["left"], 7, 0);
  assert.equal(subscription.hasAcknowledged(7), false);
  subscription.forget("left");
  assert.equal(subscription.hasAcknowledged(7), true);
  subscription.change(["kept"], 8, 0);
  subscription.forget("left");
  assert.equal(subscription.hasAcknowledged(8), false);
});

function resource(name: string, version: string): EncodedResource {
  return { name, version, delta: Buffer.from(version), any: Buffer.from(version) };
}

function follower(held: Map<string, EncodedResource>): Subscription {
  const subscription = new Subscription("type", {
    get: (name) => held.get(name),
    all: () => held.values(),
    subscribe: () => ({ [Symbol.dispose]: () => undefined }),
  });
  subscription.wildcard = true;
  return subscription;
}

test("streams of one subscription list share one list of equal resources, and get their own for different ones", () => {
  const [a, b, other] = [resource("a", "1"), resource("b", "1"), resource("b", "mapped")];
  const [first, second, third] = [
    follower(
      new Map([
        ["a", a],
        ["b", b],
      ]),
    ),
    follower(
      new Map([
        ["a", a],
        ["b", b],
      ]),
    ),
    follower(
      new Map([
        ["a", a],
        ["b", other],
      ]),
    ),
  ];
  const names = ["a", "b"];
  for (const subscription of [first, second, third]) assert.equal(subscription.change(names, 3, 0), true);
  const sent = first.take("changed");
  assert.deepEqual(sent.groups, [[a, b]]);
  assert.equal(second.take("changed").groups[0], sent.groups[0]);
  assert.deepEqual(third.take("changed").groups, [[a, other]]);
  assert.deepEqual([first.isDue, second.isDue, third.isDue], [false, false, false]);
});

test("a resource that changes again or disappears before it is sent is sent once in its latest state", () => {
  const held = new Map([
    ["a", resource("a", "1")],
    ["b", resource("b", "1")],
  ]);
  const subscription = follower(held);
  subscription.change(["a", "b"], 3, 10);
  held.delete("a");
  held.set("b", resource("b", "2"));
  subscription.change(["a"], 4, 20);
  subscription.change(["b"], 5, 30);
  assert.deepEqual([subscription.hasChanged, subscription.hasRemoved], [true, true]);
  assert.deepEqual(subscription.take("changed"), {
    groups: [[resource("b", "2")]],
    removed: [],
    range: { first: 3, last: 5 },
    sinceMs: 10,
  });
  assert.deepEqual(subscription.take("removed"), {
    groups: [],
    removed: ["a"],
    range: { first: 3, last: 5 },
    sinceMs: 10,
  });
  assert.equal(subscription.isDue, false);
});

test("a name that a view reports twice is sent once", () => {
  const held = new Map([["a", resource("a", "1")]]);
  const subscription = follower(held);
  subscription.change(["a", "a"], 3, 0);
  assert.deepEqual(subscription.take("changed").groups, [[resource("a", "1")]]);
});
