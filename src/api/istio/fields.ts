import { goDurationMs } from "../../base/index.ts";
import { Reader } from "../reader.ts";

export const maxPort = 65_535;
export const maxInt32 = 2_147_483_647;
export const maxUint32 = 4_294_967_295;
/** The longest duration that an Envoy accepts. It rejects all routes of a port for a longer one. */
const maxDurationMs = 9_223_372_035_000;

/** Reads a string. An empty string counts as unset, as in protobuf. */
export function readText(reader: Reader, field: string): string | undefined {
  const value = reader.string(field);
  return value === "" ? undefined : value;
}

/** Reads a required string that is not empty. Otherwise reports an error and returns an empty string. */
export function requireText(reader: Reader, field: string): string {
  const value = reader.string(field);
  if (value === "" || (value === undefined && !reader.has(field))) reader.error("is required", field);
  return value ?? "";
}

/** Reads a duration in whole milliseconds, at least `minimumMs`. */
export function readDurationMs(reader: Reader, field: string, minimumMs = 0): number | undefined {
  const text = reader.string(field);
  if (text === undefined) return undefined;
  const value = goDurationMs(text);
  if (value === undefined) reader.error(`must be a duration such as 10s or 1m30s, got "${text}"`, field);
  else if (value < minimumMs) reader.error(`must be at least ${minimumMs}ms, got "${text}"`, field);
  else if (value > maxDurationMs) reader.error(`must be at most ${maxDurationMs}ms, got "${text}"`, field);
  else if (!Number.isInteger(value)) reader.error(`must be in whole milliseconds, got "${text}"`, field);
  else return value;
  return undefined;
}

export function readPortNumber(reader: Reader, field: string): number | undefined {
  return reader.integer(field, 1, maxPort);
}

/** Warns of unknown fields, which may be newer than this release. The object is still accepted. */
export function warnOfUnknown(reader: Reader | undefined): void {
  reader?.unknownFields((field, suggestion) =>
    reader.warnNoEffect(`is not known and has no effect${suggestion}`, field),
  );
}

/**
 * Rejects unknown fields in settings for authorization and routing, where ignoring a field would change the meaning.
 */
export function refuseUnknown(reader: Reader | undefined): void {
  reader?.unknownFields((field, suggestion) => reader.error(`is not a known field${suggestion}`, field));
}

export function readObjects<Value>(
  reader: Reader,
  field: string,
  read: (value: Reader, key: string) => Value,
): Readonly<Record<string, Value>> {
  const map = reader.object(field);
  return Object.fromEntries(
    Object.keys((map?.raw as object | undefined) ?? {}).flatMap((key) => {
      const value = map?.object(key);
      if (value === undefined) map?.error("must be an object, got null", key);
      return value === undefined ? [] : [[key, read(value, key)]];
    }),
  );
}

/** An object of one of Istio's kinds whose metadata has been checked. */
export interface OpenedObject {
  readonly object: Reader;
  /** An empty reader if the field is absent. */
  readonly spec: Reader;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export const dryRunAnnotation = "istio.io/dry-run";
/**
 * Validation refuses every object with this annotation. As in upstream, a dry run with such an object tests the
 * webhook.
 */
export const alwaysRejectAnnotation = "internal.istio.io/webhook-always-reject";
/**
 * Annotations that only Istio sets, on objects that it generates. On a user's object, they would give it the rights of
 * another object.
 */
const internalAnnotations = ["internal.istio.io/parents", "internal.istio.io/parent-namespace", alwaysRejectAnnotation];

export function openObject(raw: unknown): OpenedObject {
  const object = new Reader(raw);
  if (typeof raw !== "object" || raw === null || Array.isArray(raw))
    object.error("must be an object with metadata and spec");
  const metadata = object.object("metadata");
  const annotations = metadata?.stringMap("annotations") ?? {};
  for (const name of internalAnnotations)
    if (annotations[name] !== undefined)
      metadata?.error("is reserved for Istio and must not be set", `annotations.${name}`);
  return {
    object,
    spec: object.object("spec") ?? object.empty("spec"),
    name: metadata?.string("name") ?? "",
    namespace: metadata?.string("namespace") ?? "",
    labels: metadata?.stringMap("labels") ?? {},
    annotations,
  };
}

/** Rejects the annotation for a dry run, which only authorization policies support. */
export function refuseDryRun({ object, annotations }: OpenedObject): void {
  if (annotations[dryRunAnnotation] !== undefined)
    object.error("is for AuthorizationPolicy only; remove it", `metadata.annotations.${dryRunAnnotation}`);
}
