import { keyOf, type UntypedObject } from "../api/index.ts";
import type { FieldFault } from "../base/field-types/index.ts";

export interface Resource {
  readonly object: UntypedObject;
  /** Absent if the object comes from a cluster. */
  readonly source?: ResourceSource | undefined;
  /** The fields of a wrong type. They count as absent. */
  readonly faults?: readonly FieldFault[] | undefined;
}

export interface ResourceSource {
  readonly file: string;
  /**
   * The position of the field, or of its nearest ancestor that exists. Without a path, that of the object. Lines and
   * columns begin at 1.
   */
  readonly positionOf: (path?: string) => Position | undefined;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The group and kind, such as `apps/Deployment` or `/Service`. */
export function groupKindOf({ apiVersion = "", kind = "" }: Pick<UntypedObject, "apiVersion" | "kind">): string {
  const slash = apiVersion.indexOf("/");
  return `${slash === -1 ? "" : apiVersion.slice(0, slash)}/${kind}`;
}

/** For example `VirtualService default/reviews`. */
export function nameOf({ object }: Resource): string {
  return `${object.kind ?? ""} ${keyOf(object)}`;
}

export function namespaceOf({ object }: Resource): string {
  return object.kind === "Namespace" ? (object.metadata.name ?? "") : (object.metadata.namespace ?? "");
}

/**
 * Where the field is: `file.yaml:12`. For JSON only the file, because the objects may all be on one line. Undefined for
 * an object from a cluster.
 */
export function referenceOf({ source }: Resource, path?: string): string | undefined {
  if (source === undefined) return undefined;
  const position = source.file.endsWith(".json") ? undefined : source.positionOf(path);
  return position === undefined ? source.file : `${source.file}:${position.line}`;
}
