import { keyOf, type UntypedObject } from "../api/index.ts";

/** An object that is analysed, and where it was written down. */
export interface Resource {
  readonly object: UntypedObject;
  /** Absent for what comes from a cluster. */
  readonly source?: ResourceSource | undefined;
}

export interface ResourceSource {
  readonly file: string;
  /** Where the field is, or the nearest part of it that is there; without a path, where the object begins. From 1 on. */
  readonly positionOf: (path?: string) => Position | undefined;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** `apps/Deployment`, `/Service`: the kind without its version. */
export function groupKindOf({ apiVersion = "", kind = "" }: Pick<UntypedObject, "apiVersion" | "kind">): string {
  const slash = apiVersion.indexOf("/");
  return `${slash === -1 ? "" : apiVersion.slice(0, slash)}/${kind}`;
}

/** `VirtualService default/reviews`, as messages name an object. */
export function nameOf({ object }: Resource): string {
  return `${object.kind ?? ""} ${keyOf(object)}`;
}

export function namespaceOf({ object }: Resource): string {
  return object.kind === "Namespace" ? (object.metadata.name ?? "") : (object.metadata.namespace ?? "");
}

/** `file.yaml:12`; JSON has no lines worth naming. */
export function referenceOf({ source }: Resource, path?: string): string | undefined {
  if (source === undefined) return undefined;
  const position = source.file.endsWith(".json") ? undefined : source.positionOf(path);
  return position === undefined ? source.file : `${source.file}:${position.line}`;
}
