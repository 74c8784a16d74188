import { keyOf, type UntypedObject } from "../api/index.ts";
import type { FieldFault } from "../base/field-types/index.ts";

/** An object to analyse, and where it is written. */
export interface Resource {
  readonly object: UntypedObject;
  /** Absent for an object from a cluster. */
  readonly source?: ResourceSource | undefined;
  /** Fields of a wrong type, which are treated as absent. */
  readonly faults?: readonly FieldFault[] | undefined;
}

export interface ResourceSource {
  readonly file: string;
  /**
   * The position of the field, or of its nearest existing ancestor. Without a path, the beginning of the object. Lines
   * and columns count from 1.
   */
  readonly positionOf: (path?: string) => Position | undefined;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The kind without its version, such as `apps/Deployment` or `/Service`. */
export function groupKindOf({ apiVersion = "", kind = "" }: Pick<UntypedObject, "apiVersion" | "kind">): string {
  const slash = apiVersion.indexOf("/");
  return `${slash === -1 ? "" : apiVersion.slice(0, slash)}/${kind}`;
}

/** The name of an object in messages: `VirtualService default/reviews`. */
export function nameOf({ object }: Resource): string {
  return `${object.kind ?? ""} ${keyOf(object)}`;
}

export function namespaceOf({ object }: Resource): string {
  return object.kind === "Namespace" ? (object.metadata.name ?? "") : (object.metadata.namespace ?? "");
}

/** The position as `file.yaml:12`. For JSON the line is omitted, because it is not helpful. */
export function referenceOf({ source }: Resource, path?: string): string | undefined {
  if (source === undefined) return undefined;
  const position = source.file.endsWith(".json") ? undefined : source.positionOf(path);
  return position === undefined ? source.file : `${source.file}:${position.line}`;
}
