import { isIP } from "node:net";
import { jsonEqual, stringOf } from "../../../base/index.ts";
import type { FieldError } from "../contract.ts";
import { fieldErrors } from "../field-error.ts";

export type TextRule = (text: string) => readonly string[];

const addressProblem = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

export function addressProblems(text: string): string[] {
  return isIP(text) === 0 ? [addressProblem] : [];
}

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

  /**
   * Checks that a value is one of the supported ones. An absent value passes, because another check reports missing
   * fields.
   */
  oneOf(path: string, value: unknown, supported: readonly string[]): void {
    if (value !== undefined && (typeof value !== "string" || !supported.includes(value)))
      this.errors.push(fieldErrors.notSupported(path, value, supported));
  }

  /** Checks a text by a rule. A value of another type counts as an empty text. Returns whether the text is valid. */
  follows(path: string, value: unknown, rule: TextRule): boolean {
    const problems = rule(stringOf(value));
    for (const problem of problems) this.invalid(path, value, problem);
    return problems.length === 0;
  }

  address(path: string, value: unknown): void {
    this.follows(path, value, addressProblems);
  }

  /** Refuses a key that an earlier element of the same list has. `shown` is the value that the message shows. */
  unique(path: string, key: unknown, earlier: Set<unknown>, shown = key): void {
    if (earlier.has(key)) this.errors.push(fieldErrors.duplicate(path, shown));
    earlier.add(key);
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
