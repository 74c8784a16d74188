import type { Reader } from "../reader.ts";

const namePattern = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
const maxNameLength = 253;

export const maxServiceNameLength = 63;
/** The name of a ReplicaSet is that of its Deployment with a dash and a hash of ten characters. */
const replicaSetSuffixLength = 11;
export const maxDeploymentNameLength = maxNameLength - replicaSetSuffixLength;

/** Reads the required name of an object. A name that the API server would not accept is an error. */
export function objectName(reader: Reader, field: string): string {
  return reader.required(field, optionalName(reader, field)) ?? "";
}

/** Reads an optional name. `maxLength` is for names of other things than objects, such as checks. */
export function optionalName(reader: Reader, field: string, maxLength = maxNameLength): string | undefined {
  const name = reader.string(field);
  if (name !== undefined) checkName(reader, field, name, maxLength);
  return name;
}

export function objectNames(reader: Reader, field: string): readonly string[] {
  const names = reader.strings(field);
  names.forEach((name, index) => checkName(reader, `${field}[${index}]`, name));
  return names;
}

const maxNamespaceLength = 63;

/** Reports a name of a rollout that would make the name of its journal (`canary.NAMESPACE.NAME`) too long. */
export function checkRolloutName(metadata: Reader | undefined, kind: "Canary" | "MeshUpgrade"): void {
  const name = metadata?.string("name");
  const most = maxNameLength - kind.length - 1 - (kind === "Canary" ? maxNamespaceLength + 1 : 0);
  if (name !== undefined && name.length > most)
    metadata?.error(
      `must have at most ${most} characters, because the name of its journal contains it, got ${name.length}`,
      "name",
    );
}

function checkName(reader: Reader, field: string, name: string, maxLength = maxNameLength): void {
  if (name.length <= maxLength && namePattern.test(name)) return;
  reader.error(
    `must be a name of at most ${maxLength} lower-case letters, digits, dashes and dots, got ${JSON.stringify(name)}`,
    field,
  );
}
