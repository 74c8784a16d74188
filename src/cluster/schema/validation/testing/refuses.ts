import assert from "node:assert/strict";
import type { UntypedObject } from "../../../../api/index.ts";
import { createSchemaRegistry } from "../../registry.ts";

const registry = createSchemaRegistry();
const all = registry.resources();

/** An object of a kind, with a name and, if the kind is namespaced, a namespace. */
export function object(kind: string, fields: object): UntypedObject {
  const type = all.find((one) => one.builtIn && one.kind === kind && one.version === one.storageVersion);
  assert.ok(type !== undefined, `there is no kind ${kind}`);
  const { metadata, ...rest } = fields as { readonly metadata?: object };
  return {
    apiVersion: type.group === "" ? type.version : `${type.group}/${type.version}`,
    kind,
    metadata: { name: "x", uid: "u", ...(type.namespaced ? { namespace: "default" } : {}), ...metadata },
    ...rest,
  };
}

export function pod(spec: object = {}, container: object = {}, metadata: object = {}): UntypedObject {
  return object("Pod", { metadata, spec: { containers: [{ name: "c", image: "i:1", ...container }], ...spec } });
}

/**
 * The faults of a new object, or of an update if `old` is given. Drops unknown fields and sets defaults first, like the
 * server.
 */
export function faultsOf(given: UntypedObject, old?: UntypedObject): string[] {
  const [group = "", version = ""] =
    given.apiVersion?.includes("/") === true ? given.apiVersion.split("/") : ["", given.apiVersion];
  const type = registry.resourceOfKind(group, version, given.kind ?? "");
  assert.ok(type !== undefined, given.kind);
  const prepared = (one: UntypedObject): UntypedObject => {
    const copy = structuredClone(one);
    registry.dropUnknownFields(type, copy);
    registry.applyDefaults(type, copy);
    return copy;
  };
  const errors = registry.validate(type, prepared(given), old === undefined ? undefined : prepared(old));
  return errors.map(({ field, message }) => `${field}: ${message}`).toSorted();
}

/**
 * Checks the faults of new objects. Compares only the beginning of each message, because Kubernetes' messages end with
 * examples and a pattern.
 */
export function refuses(table: readonly (readonly [given: UntypedObject, faults: readonly string[]])[]): void {
  for (const [given, expected] of table) {
    const faults = faultsOf(given);
    const shown = `${JSON.stringify(given)}\n${faults.join("\n")}`;
    assert.equal(faults.length, expected.length, shown);
    for (const [index, start] of expected.entries()) assert.ok(faults[index]?.startsWith(start), `${start}\n${shown}`);
  }
}
