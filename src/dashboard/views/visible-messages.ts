import { configKey, type ConfigMessages, type FoundMessage } from "./config-messages.ts";
import type { Inventory } from "./inventory.ts";
import type { VisibleNamespaces } from "./view-input.ts";

const known = new WeakMap<ConfigMessages, WeakMap<ReadonlySet<string>, ConfigMessages>>();

/**
 * Matches a name, several names joined as in `namespace/name`, a host or an identity. The match includes the word
 * "namespace" before it.
 */
const nameLike = /(?:\bnamespace )?([\w*](?:[\w.*/-]*[\w*])?)/g;
/** Namespaces that every cluster has, so that hiding them protects nothing. Their names are also words of sentences. */
const inEveryCluster: ReadonlySet<string> = new Set(["default", "kube-node-lease", "kube-public", "kube-system"]);

/**
 * Limits messages to what a reader of these namespaces may know. The analyzer knows the whole mesh, so a message may
 * name objects in hidden namespaces, for example one that conflicts with the visible object. Replaces every name that
 * contains a hidden namespace, anywhere in the text, unless the visible object itself contains that name.
 */
export function visibleMessages(
  messages: ConfigMessages,
  inventory: Inventory,
  visible: VisibleNamespaces,
): ConfigMessages {
  if (visible === "*") return messages;
  let bySet = known.get(messages);
  if (bySet === undefined) known.set(messages, (bySet = new WeakMap()));
  let made = bySet.get(visible);
  if (made === undefined) bySet.set(visible, (made = withoutHidden(messages, inventory, visible)));
  return made;
}

function withoutHidden(
  { byObject, ofMesh }: ConfigMessages,
  { namespaces, objects }: Inventory,
  visible: ReadonlySet<string>,
): ConfigMessages {
  const hidden = new Set([...namespaces.keys()].filter((name) => !visible.has(name)));
  if (hidden.size === 0) return { byObject, ofMesh };
  const own = new Map(objects.configs.map((object) => [configKey(object), object]));
  const withoutHidden = (key: string | undefined, message: FoundMessage): FoundMessage => {
    const object = key === undefined ? undefined : own.get(key);
    let written: string | undefined;
    const isSecret = (name: string): boolean =>
      hidden.has(name) && !(written ??= JSON.stringify(object?.["spec"] ?? "")).includes(name);
    const text = message.text.replaceAll(nameLike, (place: string, name: string) => {
      const parts = name.split(/[./]/);
      if (!parts.some(isSecret) || (parts.length === 1 && inEveryCluster.has(name))) return place;
      if (parts.length === 1) return "a namespace that you may not see";
      return name.includes("/") ? "an object that you may not see" : "a host that you may not see";
    });
    return text === message.text ? message : { ...message, text };
  };
  return {
    byObject: new Map([...byObject].map(([key, found]) => [key, found.map((message) => withoutHidden(key, message))])),
    ofMesh: ofMesh.map((message) => withoutHidden(undefined, message)),
  };
}
