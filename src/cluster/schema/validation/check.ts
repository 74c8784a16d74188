import { jsonEqual } from "../../../base/index.ts";
import type { FieldError } from "../contract.ts";
import { fieldErrors } from "../field-error.ts";

/** Collects the faults of one object. */
export class Check {
  readonly errors: FieldError[] = [];

  add(...errors: readonly FieldError[]): void {
    this.errors.push(...errors);
  }

  required(path: string, detail = ""): void {
    this.errors.push(fieldErrors.required(path, detail));
  }

  invalid(path: string, value: unknown, detail: string): void {
    this.errors.push(fieldErrors.invalid(path, value ?? "", detail));
  }

  forbidden(path: string, detail: string): void {
    this.errors.push(fieldErrors.forbidden(path, detail));
  }

  /** Checks a value against the supported ones. Absent values pass, because another check reports required fields. */
  oneOf(path: string, value: unknown, supported: readonly string[]): void {
    if (value !== undefined && (typeof value !== "string" || !supported.includes(value)))
      this.errors.push(fieldErrors.notSupported(path, value, supported));
  }

  nonNegative(path: string, value: unknown): void {
    if (typeof value === "number" && value < 0) this.invalid(path, value, "must be greater than or equal to 0");
  }

  immutable(path: string, value: unknown, old: unknown): void {
    if (!jsonEqual(value, old)) this.invalid(path, value, "field is immutable");
  }

  port(path: string, value: unknown): void {
    if (typeof value !== "number" || value < 1 || value > 65_535)
      this.invalid(path, value ?? 0, "must be between 1 and 65535, inclusive");
  }
}
