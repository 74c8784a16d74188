import type { KubernetesObject } from "../../api/index.ts";
import type { Informer } from "../informer.ts";
import type { SourceCollection } from "./source-collection.ts";

/** Feeds a source from an informer; `convert` checks or narrows an object, and leaves out what it answers undefined for. */
export function feedFromInformer<Value extends KubernetesObject, Item>(
  informer: Informer<Value>,
  target: SourceCollection<Item>,
  convert: (object: Value) => Item | undefined,
): Disposable {
  return informer.subscribe((change) => {
    const item = change.type === "set" ? convert(change.object) : undefined;
    if (item === undefined) target.delete(change.key);
    else target.set(change.key, item);
  });
}
