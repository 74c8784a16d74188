import { canonicalJson, jsonEqual, ownField } from "../../../base/index.ts";
import type { FieldError } from "../contract.ts";
import { fieldErrors } from "../field-error.ts";
import { childPath, isObject, type JsonObject } from "../json.ts";
import { compilePattern, formats, matchesPattern } from "./formats.ts";
import { propertySchema, type StructuralSchema } from "./structural-schema.ts";

/** Checks a value against the JSON schema of a CRD. The messages and causes are those of kube-apiserver. */
export function validateValue(schema: StructuralSchema, value: unknown, path: string): FieldError[] {
  const errors: FieldError[] = [];
  check(schema, value, path, errors);
  return errors;
}

function matches(schema: StructuralSchema, value: unknown, path: string): boolean {
  return validateValue(schema, value, path).length === 0;
}

function check(schema: StructuralSchema, value: unknown, path: string, errors: FieldError[]): void {
  if (value === null && schema.nullable === true) return;
  if (!checkType(schema, value, path, errors)) return;
  if (schema.enum !== undefined && !schema.enum.some((allowed) => jsonEqual(allowed, value))) {
    errors.push(
      fieldErrors.notSupported(
        path,
        value,
        schema.enum.map((allowed) => (typeof allowed === "string" ? allowed : JSON.stringify(allowed))),
      ),
    );
  }
  if (typeof value === "string") checkString(schema, value, path, errors);
  else if (typeof value === "number") checkNumber(schema, value, path, errors);
  else if (Array.isArray(value)) checkArray(schema, value, path, errors);
  else if (isObject(value)) checkObject(schema, value, path, errors);
  checkCombinations(schema, value, path, errors);
}

/** The limit for integers. Go clients read integers as int64, so they could not read a larger number such as 1e300. */
const int64Limit = 2 ** 63;

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) < int64Limit ? "integer" : "number";
  return typeof value;
}

function checkType(schema: StructuralSchema, value: unknown, path: string, errors: FieldError[]): boolean {
  const actual = typeName(value);
  if (schema["x-kubernetes-int-or-string"] === true) {
    if (actual === "integer" || actual === "string") return true;
    errors.push(
      fieldErrors.typeInvalid(
        path,
        actual,
        `${path} in body must be of type integer,string: ${JSON.stringify(actual)}`,
      ),
    );
    return false;
  }
  const { type } = schema;
  if (type === undefined || type === "" || type === actual || (type === "number" && actual === "integer")) return true;
  errors.push(
    fieldErrors.typeInvalid(path, actual, `${path} in body must be of type ${type}: ${JSON.stringify(actual)}`),
  );
  return false;
}

function checkString(schema: StructuralSchema, value: string, path: string, errors: FieldError[]): void {
  const length = schema.maxLength === undefined && schema.minLength === undefined ? 0 : codePoints(value);
  if (schema.maxLength !== undefined && length > schema.maxLength)
    errors.push(fieldErrors.tooLong(path, schema.maxLength));
  if (schema.minLength !== undefined && length < schema.minLength)
    errors.push(fieldErrors.invalid(path, value, `${path} in body should be at least ${schema.minLength} chars long`));
  if (schema.pattern !== undefined && schema.pattern !== "") {
    const pattern = compilePattern(schema.pattern);
    if (pattern === undefined || !matchesPattern(pattern, value))
      errors.push(fieldErrors.invalid(path, value, `${path} in body should match '${schema.pattern}'`));
  }
  const { format } = schema;
  if (format === undefined || !Object.hasOwn(formats, format)) return;
  if (formats[format]?.(value) === false)
    errors.push(
      fieldErrors.typeInvalid(path, value, `${path} in body must be of type ${format}: ${JSON.stringify(value)}`),
    );
}

/** The length of a text in characters. JSON schema does not count UTF-16 units. */
function codePoints(text: string): number {
  let count = text.length;
  for (let index = 0; index < text.length - 1; index++)
    if ((text.charCodeAt(index) & 0xfc00) === 0xd800 && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00) count--;
  return count;
}

const int32Limit = 2 ** 31;

function checkNumber(schema: StructuralSchema, value: number, path: string, errors: FieldError[]): void {
  const { maximum, minimum, multipleOf, format } = schema;
  const report = (detail: string): void => {
    errors.push(fieldErrors.invalid(path, value, `${path} in body ${detail}`));
  };
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum))
    report(
      schema.exclusiveMaximum === true
        ? `should be less than ${maximum}`
        : `should be less than or equal to ${maximum}`,
    );
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum))
    report(
      schema.exclusiveMinimum === true
        ? `should be greater than ${minimum}`
        : `should be greater than or equal to ${minimum}`,
    );
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf))
    report(`should be a multiple of ${multipleOf}`);
  if (format === "int32" && (value >= int32Limit || value < -int32Limit)) report("must be of type int32");
}

function checkArray(schema: StructuralSchema, value: readonly unknown[], path: string, errors: FieldError[]): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    errors.push(fieldErrors.tooMany(path, value.length, schema.maxItems));
  if (schema.minItems !== undefined && value.length < schema.minItems)
    errors.push(
      fieldErrors.invalid(path, value.length, `${path} in body should have at least ${schema.minItems} items`),
    );
  if (schema.uniqueItems === true && new Set(value.map(canonicalJson)).size < value.length)
    errors.push(fieldErrors.invalid(path, value, `${path} in body shouldn't contain duplicates`));
  if (schema.items !== undefined)
    for (const [index, item] of value.entries()) check(schema.items, item, childPath(path, index), errors);
  checkListType(schema, value, path, errors);
}

/** Checks that lists of type `set` and `map` contain each item only once. */
function checkListType(schema: StructuralSchema, value: readonly unknown[], path: string, errors: FieldError[]): void {
  const listType = schema["x-kubernetes-list-type"];
  if (listType !== "set" && listType !== "map") return;
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const seen = new Set<string>();
  for (const [index, item] of value.entries()) {
    const identity =
      listType === "set"
        ? item
        : Object.fromEntries(keys.map((key) => [key, isObject(item) ? ownField(item, key) : undefined]));
    const text = JSON.stringify(identity);
    if (seen.has(text)) errors.push(fieldErrors.duplicate(childPath(path, index), identity));
    seen.add(text);
  }
}

function checkObject(schema: StructuralSchema, value: JsonObject, path: string, errors: FieldError[]): void {
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties)
    errors.push(fieldErrors.tooMany(path, count, schema.maxProperties));
  if (schema.minProperties !== undefined && count < schema.minProperties)
    errors.push(
      fieldErrors.invalid(path, count, `${path} in body should have at least ${schema.minProperties} properties`),
    );
  for (const key of schema.required ?? [])
    if (!Object.hasOwn(value, key)) errors.push(fieldErrors.required(childPath(path, key)));
  for (const [key, item] of Object.entries(value)) {
    const property = propertySchema(schema, key);
    if (property !== undefined) check(property, item, childPath(path, key), errors);
    else if (typeof schema.additionalProperties === "object")
      check(schema.additionalProperties, item, childPath(path, key), errors);
  }
  if (schema["x-kubernetes-embedded-resource"] === true) {
    for (const key of ["apiVersion", "kind"])
      if (typeof value[key] !== "string" || value[key] === "")
        errors.push(fieldErrors.required(childPath(path, key), "must not be empty"));
  }
}

function checkCombinations(schema: StructuralSchema, value: unknown, path: string, errors: FieldError[]): void {
  const subject = JSON.stringify(path);
  for (const part of schema.allOf ?? []) check(part, value, path, errors);
  if (
    schema.anyOf !== undefined &&
    schema.anyOf.length > 0 &&
    !schema.anyOf.some((alternative) => matches(alternative, value, path))
  ) {
    errors.push(fieldErrors.invalid(path, "", `${subject} must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf !== undefined && schema.oneOf.length > 0) {
    const valid = schema.oneOf.filter((alternative) => matches(alternative, value, path)).length;
    if (valid === 0)
      errors.push(
        fieldErrors.invalid(path, "", `${subject} must validate one and only one schema (oneOf). Found none valid`),
        ...bestMatch(schema.oneOf, value, path),
      );
    else if (valid > 1)
      errors.push(
        fieldErrors.invalid(
          path,
          "",
          `${subject} must validate one and only one schema (oneOf). Found ${valid} valid alternatives`,
        ),
      );
  }
  if (schema.not !== undefined && matches(schema.not, value, path))
    errors.push(fieldErrors.invalid(path, "", `${subject} must not validate the schema (not)`));
}

/** The errors of the alternative that has the fewest. */
function bestMatch(alternatives: readonly StructuralSchema[], value: unknown, path: string): FieldError[] {
  const failures = alternatives
    .map((alternative) => validateValue(alternative, value, path))
    .sort((a, b) => a.length - b.length);
  return failures[0] ?? [];
}
