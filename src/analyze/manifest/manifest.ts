import { withArticle } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Position, Resource } from "../resource.ts";
import { positionIn, type Positions } from "./positions.ts";
import { readPlainYaml, type PlainDocument } from "./plain-yaml.ts";

export interface ManifestFault {
  readonly file: string;
  readonly position?: Position | undefined;
  readonly message: string;
}

export interface Manifest {
  readonly resources: readonly Resource[];
  readonly faults: readonly ManifestFault[];
}

/** The documents in a file, and its faults. It is plain data, which can be sent to another thread. */
export interface ManifestDocuments {
  readonly documents: readonly PlainDocument[];
  readonly faults: readonly (Position & { readonly message: string })[];
}

/**
 * The objects in a file with YAML or JSON documents, each with its position. The members of a List are objects of their
 * own. Objects that name no namespace get none.
 */
export async function readManifest(file: string, text: string): Promise<Manifest> {
  return manifestOf(file, await readDocuments(text));
}

/** As {@link readManifest}, for documents that {@link readDocuments} has read. */
export function manifestOf(file: string, { documents, faults }: ManifestDocuments): Manifest {
  const resources: Resource[] = [];
  const found: ManifestFault[] = faults.map(({ line, column, message }) => ({
    file,
    position: line === 0 ? undefined : { line, column },
    message,
  }));
  for (const document of documents) {
    const parts = isList(document.value)
      ? (document.value["items"] as unknown[]).map((item, index) => ({ value: item, path: `items[${index}]` }))
      : [{ value: document.value, path: "" }];
    for (const { value, path } of parts) {
      const positionOf = positionsBelow(document, path);
      const fault = objectFault(value);
      if (fault === undefined) resources.push({ object: value as UntypedObject, source: { file, positionOf } });
      else found.push({ file, position: positionOf(), message: fault });
    }
  }
  found.sort((left, right) => (left.position?.line ?? 0) - (right.position?.line ?? 0));
  return { resources, faults: found };
}

/**
 * Parses YAML or JSON. Even a few kilobytes can take seconds, so texts that are not trusted should be parsed in a
 * thread that can be ended.
 */
export async function readDocuments(text: string): Promise<ManifestDocuments> {
  if (text.trimStart().startsWith("{")) {
    try {
      return { documents: [{ value: JSON.parse(text) as unknown, line: 1, positions: new Map() }], faults: [] };
    } catch {
      // Not JSON. YAML allows more, and its parser reports the positions of faults.
    }
  }
  const documents = readPlainYaml(text);
  if (documents !== undefined) return { documents, faults: [] };
  const { readFullYaml } = await import("./full-yaml.ts");
  return readFullYaml(text);
}

function positionsBelow(
  { value, line, positions }: PlainDocument,
  root: string,
): (path?: string) => Position | undefined {
  return (path) => {
    const whole = [root, path ?? ""].filter((part) => part !== "").join(".");
    return (
      (whole === "" ? undefined : positionIn(positions, value, whole)) ??
      firstPosition(positions, value) ?? { line, column: 1 }
    );
  };
}

function firstPosition(positions: Positions, value: unknown): Position | undefined {
  return typeof value === "object" && value !== null ? positions.get(value)?.values().next().value : undefined;
}

function isList(value: unknown): value is Record<string, unknown> {
  const { kind, items } = (value ?? {}) as { kind?: unknown; items?: unknown };
  return typeof kind === "string" && kind.endsWith("List") && Array.isArray(items);
}

function objectFault(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return "a document must be an object with apiVersion, kind and metadata";
  const { apiVersion, kind, metadata } = value as Record<string, unknown>;
  for (const [field, is] of Object.entries({ apiVersion, kind }))
    if (typeof is !== "string" || is === "") return `${field} is required: each document must be a Kubernetes object`;
  if (typeof metadata !== "object" || metadata === null)
    return `metadata is required: ${withArticle(String(kind))} needs a name`;
  const { name, generateName } = metadata as Record<string, unknown>;
  if (name !== undefined && name !== null && typeof name !== "string")
    return `metadata.name must be a string, got ${JSON.stringify(name)}: put quotes around it, because YAML reads no, on and numbers as other values`;
  return typeof name === "string" || typeof generateName === "string"
    ? undefined
    : `metadata.name is required: ${withArticle(String(kind))} needs a name`;
}
