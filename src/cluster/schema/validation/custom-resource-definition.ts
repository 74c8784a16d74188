import { jsonEqual, stringOf } from "../../../base/index.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import type { FieldError } from "../contract.ts";
import { arrayOf, cloneJson, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { JsonPath } from "../json-path.ts";
import { applyStructuralDefaults } from "../crd/defaults.ts";
import { compilePattern } from "../crd/formats.ts";
import { RuleValidator } from "../crd/rule-validator.ts";
import { validateValue } from "../crd/validate-value.ts";
import { Check } from "./check.ts";
import { checkServiceName, checkSubdomain } from "../names.ts";

const types = ["array", "boolean", "integer", "number", "object", "string"];

/**
 * Checks the conditions under which a CRD can be served: valid names and versions, structural schemas, and rules that
 * compile.
 */
export function validateCustomResourceDefinition(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  const names = objectOf(spec.names);
  const group = stringOf(spec.group);
  if (group === "") check.required("spec.group");
  else if (!group.includes(".")) check.invalid("spec.group", group, "should be a domain with at least one dot");
  if (group !== "") check.follows("spec.group", group, checkSubdomain);
  check.oneOf("spec.scope", spec.scope ?? "", ["Cluster", "Namespaced"]);
  const expected = `${stringOf(names.plural)}.${group}`;
  const name = stringOf(objectOf(object.metadata).name);
  if (name !== expected && old === undefined)
    check.invalid("metadata.name", name, `must be spec.names.plural+"."+spec.group`);
  validateNames(names, check);
  validateVersions(arrayOf(spec.versions), arrayOf(objectOf(old?.spec).versions), check);
  const conversion = objectOf(spec.conversion);
  check.oneOf("spec.conversion.strategy", conversion.strategy, ["None", "Webhook"]);
  if (old === undefined) return;
  const previous = objectOf(old.spec);
  const established = arrayOf(objectOf(old.status).conditions).some(
    (condition) => objectOf(condition).type === "Established" && objectOf(condition).status === "True",
  );
  check.immutable("spec.group", spec.group, previous.group);
  if (!established) return;
  check.immutable("spec.scope", spec.scope, previous.scope);
  check.immutable("spec.names.kind", names.kind, objectOf(previous.names).kind);
  check.immutable("spec.names.plural", names.plural, objectOf(previous.names).plural);
}

/**
 * Why a stored CRD cannot be served. The schemas are not checked again, because the server checked them when the CRD
 * was written.
 */
export function servingErrors(definition: KubernetesObject): FieldError[] {
  const check = new Check();
  const spec = objectOf((definition as unknown as JsonObject).spec);
  if (stringOf(spec.group) === "") check.required("spec.group");
  validateNames(objectOf(spec.names), check);
  return check.errors;
}

/** Whether at least one version of a stored CRD is served. */
export function isServed(definition: KubernetesObject): boolean {
  const spec = objectOf((definition as unknown as JsonObject).spec);
  return arrayOf(spec.versions).some((version) => objectOf(version).served === true);
}

function validateNames(names: JsonObject, check: Check): void {
  for (const field of ["plural", "singular"]) {
    const value = stringOf(names[field]);
    if (value === "" && field === "plural") check.required("spec.names.plural");
    if (value !== "") check.follows(`spec.names.${field}`, value, checkServiceName);
  }
  for (const field of ["kind", "listKind"]) {
    const value = stringOf(names[field]);
    if (value === "") check.required(`spec.names.${field}`);
    else
      for (const problem of checkServiceName(value.toLowerCase()))
        check.invalid(`spec.names.${field}`, value, `may have mixed case, but should otherwise match: ${problem}`);
  }
  for (const [at, short] of withPaths(arrayOf(names.shortNames), "spec.names.shortNames"))
    check.follows(at, short, checkServiceName);
}

function validateVersions(versions: readonly unknown[], old: readonly unknown[], check: Check): void {
  if (versions.length === 0) check.required("spec.versions");
  const seen = new Set<string>();
  let stored = 0;
  // If all versions share a schema, kube-apiserver stores it outside of the versions, and its errors name that path.
  const isShared = versions.every(
    (version) =>
      isObject(objectOf(objectOf(version).schema).openAPIV3Schema) &&
      jsonEqual(objectOf(version).schema, objectOf(versions[0]).schema),
  );
  for (const [at, raw] of withPaths(versions, "spec.versions")) {
    const version = objectOf(raw);
    const name = stringOf(version.name);
    check.follows(`${at}.name`, name, checkServiceName);
    check.unique(`${at}.name`, name, seen);
    if (version.storage === true) stored++;
    // Skip a version that has not changed. For a large CRD, compiling the rules takes tens of milliseconds.
    const known = old.find((version) => objectOf(version).name === name);
    if (known === undefined || !jsonEqual(known, version))
      validateVersion(version, at, isShared ? "spec.validation" : `${at}.schema`, check);
  }
  if (versions.length > 0 && stored !== 1)
    check.invalid(
      "spec.versions",
      versions.map((version) => objectOf(version).name),
      "must have exactly one version marked as storage version",
    );
}

const maxWarningBytes = 256;

function validateDeprecation({ deprecated, deprecationWarning: warning }: JsonObject, at: string, check: Check): void {
  if (typeof warning !== "string") return;
  if (deprecated !== true) return check.invalid(at, warning, "can only be set for deprecated versions");
  if (warning === "") check.invalid(at, warning, "must not be an empty string");
  if (Buffer.byteLength(warning) > maxWarningBytes)
    check.invalid(at, warning, `must be <= ${maxWarningBytes} characters long`);
  if (!/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u.test(warning))
    check.invalid(at, warning, "must only contain printable UTF-8 characters");
}

function validateVersion(version: JsonObject, at: string, schemaAt: string, check: Check): void {
  validateDeprecation(version, `${at}.deprecationWarning`, check);
  const schema = objectOf(version.schema).openAPIV3Schema;
  if (!isObject(schema)) {
    check.required(`${at}.schema.openAPIV3Schema`);
    return;
  }
  const path = `${schemaAt}.openAPIV3Schema`;
  if (schema.type !== "object") check.invalid(`${path}.type`, schema.type ?? "", "must be object at the root");
  const before = check.errors.length;
  validateSchema(schema, path, check, false);
  if (check.errors.length === before) check.add(...new RuleValidator(schema).compileErrors(path));
  validatePaths(version, at, check);
}

function validatePaths(version: JsonObject, at: string, check: Check): void {
  for (const [path, raw] of withPaths(arrayOf(version.additionalPrinterColumns), `${at}.additionalPrinterColumns`)) {
    const column = objectOf(raw);
    if (stringOf(column.name) === "") check.required(`${path}.name`);
    check.oneOf(`${path}.type`, column.type ?? "", ["boolean", "date", "integer", "number", "string"]);
    const text = stringOf(column.jsonPath);
    if (text === "") check.required(`${path}.jsonPath`);
    else
      try {
        JsonPath.parse(text);
      } catch (error) {
        check.invalid(`${path}.jsonPath`, text, error instanceof Error ? error.message : String(error));
      }
  }
  const scale = objectOf(version.subresources).scale;
  if (!isObject(scale)) return;
  if (!stringOf(scale.specReplicasPath).startsWith(".spec."))
    check.invalid(
      `${at}.subresources.scale.specReplicasPath`,
      scale.specReplicasPath,
      "should be a json path under .spec",
    );
  if (!stringOf(scale.statusReplicasPath).startsWith(".status."))
    check.invalid(
      `${at}.subresources.scale.statusReplicasPath`,
      scale.statusReplicasPath,
      "should be a json path under .status",
    );
}

/**
 * Validates a structural schema. Such a schema states the type of each field outside of `allOf`, `anyOf`, `oneOf` and
 * `not`. Inside these, it states neither types nor other structural fields.
 */
function validateSchema(schema: JsonObject, at: string, check: Check, logical: boolean): void {
  const { type, items, additionalProperties, properties } = schema;
  const freeType =
    schema["x-kubernetes-int-or-string"] === true || schema["x-kubernetes-preserve-unknown-fields"] === true;
  if (type === undefined || type === "") {
    if (!logical && !freeType) check.required(`${at}.type`, "must not be empty for specified object fields");
  } else check.oneOf(`${at}.type`, type, types);
  if (typeof schema.pattern === "string" && schema.pattern !== "" && compilePattern(schema.pattern) === undefined)
    check.invalid(`${at}.pattern`, schema.pattern, "must be a valid regular expression");
  if (type === "array" && !logical && !isObject(items)) check.required(`${at}.items`, "must be specified");
  if (
    isObject(properties) &&
    Object.keys(properties).length > 0 &&
    additionalProperties !== undefined &&
    additionalProperties !== true
  )
    check.forbidden(`${at}.additionalProperties`, "additionalProperties and properties are mutual exclusive");
  validateListType(schema, at, check);
  if (schema.default !== undefined && !logical) check.add(...defaultErrors(schema, `${at}.default`));
  for (const [name, child] of Object.entries(objectOf(properties)))
    validateSchema(objectOf(child), `${at}.properties[${name}]`, check, logical);
  if (isObject(items)) validateSchema(items, `${at}.items`, check, logical);
  if (isObject(additionalProperties))
    validateSchema(additionalProperties, `${at}.additionalProperties`, check, logical);
  for (const junctor of ["allOf", "anyOf", "oneOf"]) {
    for (const [place, child] of withPaths(arrayOf(schema[junctor]), `${at}.${junctor}`))
      validateSchema(objectOf(child), place, check, true);
  }
  if (isObject(schema.not)) validateSchema(schema.not, `${at}.not`, check, true);
}

/** The faults of a default. A default must be valid for its schema after the defaults inside it are filled in. */
function defaultErrors(schema: JsonObject, at: string): FieldError[] {
  const value = cloneJson(schema.default);
  applyStructuralDefaults(schema, value);
  return validateValue(schema, value, "").map((error) => ({
    ...error,
    field: error.field === "" ? at : `${at}.${error.field}`,
  }));
}

function validateListType(schema: JsonObject, at: string, check: Check): void {
  const listType = schema["x-kubernetes-list-type"];
  if (listType === undefined) return;
  if (schema.type !== "array")
    check.invalid(`${at}.type`, schema.type ?? "", "must be array if x-kubernetes-list-type is specified");
  check.oneOf(`${at}.x-kubernetes-list-type`, listType, ["atomic", "set", "map"]);
  const keys = arrayOf(schema["x-kubernetes-list-map-keys"]).map(stringOf);
  if (listType !== "map") return;
  if (keys.length === 0)
    check.required(`${at}.x-kubernetes-list-map-keys`, "must not be empty if x-kubernetes-list-type is map");
  const properties = objectOf(objectOf(schema.items).properties);
  const required = arrayOf(objectOf(schema.items).required);
  for (const key of keys) {
    if (!Object.hasOwn(properties, key))
      check.invalid(`${at}.x-kubernetes-list-map-keys`, keys, "entries must all be names of item properties");
    else if (!required.includes(key) && objectOf(properties[key]).default === undefined)
      check.required(
        `${at}.items.properties[${key}].default`,
        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
      );
  }
}
