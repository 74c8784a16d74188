import type { Reader } from "../reader.ts";

const namePattern = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
/** The longest name of an object. */
const maxNameLength = 253;

export const maxServiceNameLength = 63;
/** The names of ReplicaSets add a dash and a hash of ten characters to that of their Deployment. */
const replicaSetSuffixLength = 11;
export const maxDeploymentNameLength = maxNameLength - replicaSetSuffixLength;

/** Reads the name of an object. Reports a name that the API server would not accept. */
export function objectName(reader: Reader, field: string): string {
  return reader.required(field, optionalName(reader, field)) ?? "";
}

/** `maxLength` is the limit for a name that is not the name of an object, such as a check's. */
export function optionalName(reader: Reader, field: string, maxLength = maxNameLength): string | undefined {
  const name = reader.string(field);
  if (name !== undefined) checkName(reader, field, name, maxLength);
  return name;
}

/** Reads a list of objects' names. */
export function objectNames(reader: Reader, field: string): readonly string[] {
  const names = reader.strings(field);
  names.forEach((name, index) => checkName(reader, `${field}[${index}]`, name));
  return names;
}

/** The maximum length of a namespace's name. */
const maxNamespaceLength = 63;

/** Reports a rollout's name if the name of its journal (`canary.NAMESPACE.NAME`) would be too long. */
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
