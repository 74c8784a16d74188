import type { FieldError } from "./contract.ts";

/** A placeholder for the value of a faulty field. The message then shows no value. */
export const omitted: unique symbol = Symbol("omitted");

function body(type: string, value: unknown, detail: string): string {
  const head =
    value === omitted
      ? type
      : `${type}: ${typeof value === "string" ? JSON.stringify(value) : (JSON.stringify(value) ?? "null")}`;
  return detail === "" ? head : `${head}: ${detail}`;
}

/** Creates the errors of Kubernetes' package `field`, with the same texts. */
export const fieldErrors = {
  required: (field: string, detail = ""): FieldError => ({
    reason: "FieldValueRequired",
    field,
    message: body("Required value", omitted, detail),
  }),
  invalid: (field: string, value: unknown, detail: string): FieldError => ({
    reason: "FieldValueInvalid",
    field,
    message: body("Invalid value", value, detail),
  }),
  typeInvalid: (field: string, value: unknown, detail: string): FieldError => ({
    reason: "FieldValueTypeInvalid",
    field,
    message: body("Invalid value", value, detail),
  }),
  notSupported: (field: string, value: unknown, supported: readonly string[]): FieldError => ({
    reason: "FieldValueNotSupported",
    field,
    message: body(
      "Unsupported value",
      value,
      supported.length === 0 ? "" : `supported values: ${supported.map((value) => JSON.stringify(value)).join(", ")}`,
    ),
  }),
  forbidden: (field: string, detail: string): FieldError => ({
    reason: "FieldValueForbidden",
    field,
    message: body("Forbidden", omitted, detail),
  }),
  duplicate: (field: string, value: unknown, detail = ""): FieldError => ({
    reason: "FieldValueDuplicate",
    field,
    message: body("Duplicate value", value, detail),
  }),
  notFound: (field: string, value: unknown): FieldError => ({
    reason: "FieldValueNotFound",
    field,
    message: body("Not found", value, ""),
  }),
  tooLong: (field: string, maximum: number): FieldError => ({
    reason: "FieldValueTooLong",
    field,
    message: body("Too long", omitted, `may not be more than ${maximum} ${maximum === 1 ? "byte" : "bytes"}`),
  }),
  tooMany: (field: string, actual: number, maximum: number): FieldError => ({
    reason: "FieldValueTooMany",
    field,
    message: body("Too many", actual, `must have at most ${maximum} ${maximum === 1 ? "item" : "items"}`),
  }),
  internal: (field: string, detail: string): FieldError => ({
    reason: "InternalError",
    field,
    message: body("Internal error", omitted, detail),
  }),
} as const;
