import { silentLogger } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { Store } from "../store.ts";

/** Creates a store without a file. `content` contains its initial objects by collection. */
export async function memoryStore(content: Readonly<Record<string, readonly object[]>> = {}): Promise<Store> {
  const store = Store.open({
    path: ":memory:",
    log: silentLogger,
    startWriter: () => ({ write: () => Promise.resolve(), close: () => Promise.resolve() }),
  });
  await fillStore(store, content);
  return store;
}

export async function fillStore(store: Store, content: Readonly<Record<string, readonly object[]>>): Promise<void> {
  const writes = Object.entries(content).flatMap(([collection, objects]) =>
    objects.map(async (given) => {
      const object = structuredClone(given) as UntypedObject;
      const { namespace = "", name = "" } = object.metadata;
      await store.put(collection, object, store.latest(collection, namespace, name)?.revision ?? "absent");
    }),
  );
  await Promise.all(writes);
}
