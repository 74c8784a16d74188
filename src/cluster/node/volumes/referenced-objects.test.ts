import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../../api/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../../base/index.ts";
import type { KubeClient, ListOptions, WatchOptions } from "../../../kube/index.ts";
import { ReferencedObjects } from "./referenced-objects.ts";

/**
 * Fake watches of single objects. They report the objects in `stored` when `open` resolves. After that they report
 * nothing.
 */
function setUp({ maxObjects = 700, open = Promise.resolve() }: { maxObjects?: number; open?: Promise<void> } = {}): {
  objects: ReferencedObjects;
  stored: Map<string, KubernetesObject>;
  watched: Set<string>;
  changed: string[];
} {
  const stored = new Map<string, KubernetesObject>();
  const watched = new Set<string>();
  const changed: string[] = [];
  const subject = ({ kind }: { kind: string }, { namespace, fieldSelector }: ListOptions): string =>
    `${kind} ${namespace}/${fieldSelector?.replace("metadata.name=", "")}`;
  const client = {
    watch: async function* (kind: { kind: string }, options: WatchOptions) {
      const key = subject(kind, options);
      watched.add(key);
      try {
        await open;
        const object = stored.get(key);
        if (object !== undefined) yield { type: "ADDED", object };
        yield { type: "BOOKMARK", resourceVersion: "1", endsInitialEvents: true };
        if (options.signal?.aborted !== true)
          await new Promise((resolve) => options.signal?.addEventListener("abort", resolve));
      } finally {
        watched.delete(key);
      }
    },
  } as unknown as KubeClient;
  const objects = new ReferencedObjects({
    client,
    clock: systemClock,
    log: silentLogger,
    changed: (uid) => void changed.push(uid),
    maxObjects,
  });
  return { objects, stored, watched, changed };
}

function pod(uid: string, secrets: readonly string[]): Pod {
  return {
    metadata: { uid, name: uid, namespace: "shop" },
    spec: {
      containers: [],
      volumes: secrets.map((secretName) => ({ name: secretName, secret: { secretName, optional: true } })),
    },
  };
}

const turn = async (): Promise<void> => {
  for (let round = 0; round < 10; round += 1) await new Promise(setImmediate);
};

test("an object is watched by its name as long as a pod refers to it", async () => {
  const { objects, stored, watched, changed } = setUp();
  stored.set("Secret shop/key", { metadata: { name: "key", namespace: "shop" } });
  objects.follow(pod("one", ["key"]));
  objects.follow(pod("two", ["key", "absent"]));
  await turn();
  assert.deepEqual([...watched].toSorted(), ["Secret shop/absent", "Secret shop/key"]);
  assert.equal(objects.get("secret", "shop", "key")?.metadata.name, "key");
  assert.equal(objects.get("secret", "shop", "absent"), undefined);
  assert.deepEqual(new Set(changed), new Set(["one", "two"]));
  objects.follow(pod("two", ["key"]));
  await turn();
  assert.deepEqual([...watched], ["Secret shop/key"]);
  objects.forget("two");
  objects.forget("one");
  await turn();
  assert.deepEqual([...watched], []);
});

test("an optional object does not count as absent before it was read", async () => {
  const { promise: open, resolve } = Promise.withResolvers<void>();
  const { objects, changed } = setUp({ open });
  objects.follow(pod("one", ["key"]));
  await turn();
  assert.throws(() => objects.get("secret", "shop", "key"), /secret "key" is not read yet/);
  assert.deepEqual(changed, []);
  resolve();
  await turn();
  assert.equal(objects.get("secret", "shop", "key"), undefined);
  assert.deepEqual(changed, ["one"]);
});

test("pods that refer to many objects leave streams for the node, and a place that becomes free is taken", async () => {
  const { objects, watched } = setUp({ maxObjects: 2 });
  objects.follow(pod("greedy", ["a", "b"]));
  objects.follow(pod("late", ["c"]));
  await turn();
  assert.equal(watched.size, 2);
  assert.throws(
    () => objects.get("secret", "shop", "c"),
    /secret "c" is not watched, because the node already watches 2 objects for its pods/,
  );
  objects.forget("greedy");
  await turn();
  assert.deepEqual([...watched], ["Secret shop/c"]);
  assert.equal(objects.get("secret", "shop", "c"), undefined);
});
