import type { UntypedObject } from "../../api/index.ts";
import { groupKindOf, type Message } from "../../analyze/index.ts";

export interface FoundMessage {
  readonly code: string;
  readonly level: "Error" | "Warning" | "Info";
  readonly text: string;
  /** Empty if the message is about the object as a whole. */
  readonly path: string;
}

/** What the analyzer has found after the last change of an object. */
export interface ConfigMessages {
  readonly byObject: ReadonlyMap<string, readonly FoundMessage[]>;
  readonly ofMesh: readonly FoundMessage[];
}

export const noMessages: ConfigMessages = { byObject: new Map(), ofMesh: [] };

/**
 * For example `networking.istio.io/VirtualService shop/shop`. Without a version, because an object is the same in all
 * versions.
 */
export function configKey(object: Pick<UntypedObject, "apiVersion" | "kind" | "metadata">): string {
  const { namespace = "", name = "" } = object.metadata;
  return `${groupKindOf({ apiVersion: object.apiVersion ?? "", kind: object.kind ?? "" })} ${namespace}/${name}`;
}

export function messagesByObject(messages: readonly Message[]): ConfigMessages {
  const byObject = new Map<string, FoundMessage[]>();
  const ofMesh: FoundMessage[] = [];
  for (const { type, resource, path, text } of messages) {
    const found: FoundMessage = { code: type.code, level: type.level, text, path: path ?? "" };
    if (resource === undefined) {
      ofMesh.push(found);
      continue;
    }
    const key = configKey(resource.object);
    const known = byObject.get(key);
    if (known === undefined) byObject.set(key, [found]);
    else known.push(found);
  }
  return { byObject, ofMesh };
}
