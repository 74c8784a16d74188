import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, type KubernetesObject } from "../../api/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { Informer, InformerChange } from "../../kube/index.ts";
import { ObjectView } from "./object-view.ts";

interface Thing extends KubernetesObject {
  readonly spec?: string;
}

/** An informer that delivers changes only when the test requests it. */
class LateInformer {
  readonly #delivered = new Map<string, Thing>();
  #handler: (change: InformerChange<Thing>) => void = () => undefined;

  get(key: string): Thing | undefined {
    return this.#delivered.get(key);
  }

  subscribe(handler: (change: InformerChange<Thing>) => void): Disposable {
    this.#handler = handler;
    return { [Symbol.dispose]: () => undefined };
  }

  deliver(object: Thing): void {
    const key = keyOf(object);
    const previous = this.#delivered.get(key);
    this.#delivered.set(key, object);
    this.#handler({ type: "set", key, object, previous });
  }

  drop(object: Thing): void {
    const key = keyOf(object);
    this.#delivered.delete(key);
    this.#handler({ type: "delete", key, object });
  }
}

interface Given {
  readonly informer: LateInformer;
  readonly view: ObjectView<Thing>;
  readonly clock: HandClock;
}

function given(...delivered: readonly Thing[]): Given {
  const informer = new LateInformer();
  const clock = new HandClock();
  const view = new ObjectView(informer as unknown as Informer<Thing>, clock);
  for (const object of delivered) informer.deliver(object);
  return { informer, view, clock };
}

function thing(name: string, version: number, more: Partial<Thing["metadata"]> = {}, spec = ""): Thing {
  return { metadata: { name, namespace: "shop", uid: name, resourceVersion: String(version), ...more }, spec };
}

const bySpec = ({ spec = "" }: Thing): string[] => (spec === "" ? [] : [spec]);
const names = (things: readonly Thing[]): string[] =>
  things.map(({ metadata: { name, resourceVersion } }) => `${name}@${resourceVersion}`);

test("a controller sees its own write at once, and the watch's older state does not undo it", () => {
  const { informer, view } = given(thing("a", 1));
  view.wrote(thing("a", 3, {}, "written"));
  view.wrote(thing("new", 4));
  assert.deepEqual(names(view.all()), ["a@3", "new@4"]);
  informer.deliver(thing("a", 2));
  assert.equal(view.get("shop", "a")?.spec, "written");
  informer.deliver(thing("a", 5, {}, "by another"));
  assert.equal(view.get("shop", "a")?.spec, "by another");
});

test("an answer that arrives after the watch's newer state changes nothing", () => {
  const { view } = given(thing("a", 7, {}, "newer"));
  view.wrote(thing("a", 6, {}, "older"));
  view.wrote(thing("a", 7, {}, "the same"));
  assert.equal(view.at("shop/a")?.spec, "newer");
});

test("a write that the watch does not confirm within ten seconds is forgotten, because its object may be gone", () => {
  const { view, clock } = given(thing("a", 1));
  const index = view.index(bySpec);
  view.wrote(thing("a", 3, {}, "written"));
  view.wrote(thing("gone", 4, {}, "written"));
  clock.pass(9_999);
  assert.deepEqual(names(index.of("written")), ["a@3", "gone@4"]);
  clock.pass(1);
  assert.deepEqual(names(index.of("written")), []);
  assert.deepEqual(names(view.all()), ["a@1"]);
});

test("an object that the controller has deleted is terminating until the watch reports a newer state, whatever older states arrive", () => {
  const { informer, view } = given(thing("a", 1));
  view.deleted(thing("a", 1));
  const isTerminating = (): boolean => view.at("shop/a")?.metadata.deletionTimestamp !== undefined;
  assert.equal(isTerminating(), true);
  informer.deliver(thing("a", 2));
  assert.equal(isTerminating(), true);
  informer.deliver(thing("a", 3, { deletionTimestamp: "2026-01-01T00:00:00Z" }));
  informer.drop(thing("a", 4));
  assert.equal(view.at("shop/a"), undefined);
});

test("the deletion of an object does not concern the next one of its name", () => {
  const { informer, view } = given(thing("a", 1, { uid: "first" }));
  view.deleted(thing("a", 1, { uid: "first" }));
  informer.deliver(thing("a", 5, { uid: "second" }));
  assert.equal(view.at("shop/a")?.metadata.deletionTimestamp, undefined);
  view.deleted(thing("a", 1, { uid: "first" }));
  assert.equal(view.at("shop/a")?.metadata.deletionTimestamp, undefined, "a late answer about the first");
});

test("an object of another uid replaces a local write of its name, although its version may be older", () => {
  const { informer, view } = given();
  view.wrote(thing("a", 9, { uid: "first" }));
  informer.deliver(thing("a", 8, { uid: "second" }));
  assert.equal(view.at("shop/a")?.metadata.uid, "second");
});

test("an index follows changes, local writes and deletions, and keeps no empty keys", () => {
  const { informer, view } = given(thing("a", 1, {}, "x"), thing("b", 2, {}, "x"));
  const index = view.index(bySpec);
  assert.deepEqual(names(index.of("x")), ["a@1", "b@2"]);
  view.wrote(thing("a", 3, {}, "y"));
  assert.deepEqual([names(index.of("x")), names(index.of("y"))], [["b@2"], ["a@3"]]);
  informer.drop(thing("b", 4, {}, "x"));
  assert.deepEqual(index.of("x"), []);
  informer.deliver(thing("a", 5));
  assert.deepEqual(index.of("y"), []);
});

test("handlers are called when the view and its indexes show the change, and for no change of the controller's own", () => {
  const { informer, view } = given();
  const index = view.index(bySpec);
  const seen: unknown[] = [];
  view.onChange(({ type, object }) => seen.push([type, names(index.of(object.spec ?? "")), view.all().length]));
  informer.deliver(thing("a", 1, {}, "x"));
  view.wrote(thing("b", 2, {}, "x"));
  informer.deliver(thing("b", 2, {}, "x"));
  informer.drop(thing("a", 3, {}, "x"));
  assert.deepEqual(seen, [
    ["set", ["a@1"], 1],
    ["set", ["a@1", "b@2"], 2],
    ["delete", ["b@2"], 1],
  ]);
});
