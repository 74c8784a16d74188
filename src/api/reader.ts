import { describeValue, isNestedBeyond, maxLevels } from "../base/field-types/index.ts";
import { isTree, nearestName } from "../base/index.ts";
import type { FieldIssue, IssueCode, Parsed } from "./parsed.ts";

/**
 * Reads an untrusted value field by field and collects issues. Each reader has a path. Reading a field marks it as
 * known, and {@link Reader.unknownFields} reports the others.
 */
export class Reader {
  readonly path: string;
  readonly #value: unknown;
  readonly #report: Report;
  readonly #known = new Set<string>();

  constructor(value: unknown, path = "", report: Report = { errors: [], warnings: [] }) {
    this.#value = value;
    this.path = path;
    this.#report = report;
  }

  /** A reader that also accepts numbers in quotes, as protobuf's JSON does and the schemas of Kubernetes do not. */
  static ofProtoJson(value: unknown): Reader {
    return new Reader(value, "", { errors: [], warnings: [], numbersMayBeQuoted: true });
  }

  get raw(): unknown {
    return this.#value;
  }

  error(message: string, field?: string): void {
    this.#report.errors.push({ path: this.#at(field), message });
  }

  warn(message: string, field?: string, code?: IssueCode): void {
    this.#report.warnings.push({ path: this.#at(field), message, ...(code === undefined ? {} : { code }) });
  }

  /** Warns that a field has no effect, or has none in Serin's own proxies. */
  warnNoEffect(message: string, field?: string): void {
    this.warn(message, field, "no-effect");
  }

  /** Warns of a field that Istio still reads but is going to drop. */
  warnDeprecated(message: string, field?: string): void {
    this.warn(message, field, "deprecated");
  }

  /** Adds to the sum of this name, which the readers of one object share. Returns the sum. */
  tally(what: string, amount: number): number {
    const tallies = (this.#report.tallies ??= new Map<string, number>());
    const sum = (tallies.get(what) ?? 0) + amount;
    tallies.set(what, sum);
    return sum;
  }

  has(field: string): boolean {
    return this.#get(field) !== undefined;
  }

  string(field: string): string | undefined {
    const value = this.#typed<string>(field, "a string", (found) => typeof found === "string");
    if (value?.isWellFormed() !== false) return value;
    this.error(halfCharacter, field);
    return undefined;
  }

  boolean(field: string): boolean | undefined {
    return this.#typed(field, "true or false", (value) => typeof value === "boolean");
  }

  /** Reads a whole number within the bounds, both inclusive. */
  integer(field: string, minimum = Number.MIN_SAFE_INTEGER, maximum = Number.MAX_SAFE_INTEGER): number | undefined {
    const value = this.#typed<number>(
      field,
      "a whole number",
      (found) => typeof found === "number" && Number.isInteger(found),
      this.#unquoted,
    );
    if (value !== undefined && (value < minimum || value > maximum)) {
      this.error(`must be from ${minimum} to ${maximum}, got ${value}`, field);
      return undefined;
    }
    return value;
  }

  number(field: string): number | undefined {
    return this.#typed(
      field,
      "a number",
      (value) => typeof value === "number" && Number.isFinite(value),
      this.#unquoted,
    );
  }

  oneOf<const Word extends string>(field: string, words: readonly Word[]): Word | undefined {
    const value = this.string(field);
    if (value === undefined) return undefined;
    const found = words.find((word) => word === value);
    if (found === undefined) this.error(`must be one of ${words.join(", ")}, got "${value}"`, field);
    return found;
  }

  /** Returns the value. Reports an error if the field is absent. */
  required<Value>(field: string, value: Value | undefined): Value | undefined {
    if (value === undefined && !this.has(field)) this.error("is required", field);
    return value;
  }

  /** Returns a reader for a nested object. Undefined if it is absent or, with an error, of another type. */
  object(field: string): Reader | undefined {
    const value = this.#typed<object>(field, "an object", isTree);
    return value === undefined ? undefined : new Reader(value, this.#at(field), this.#report);
  }

  /**
   * Returns an object of any form. Undefined if it is absent. An object with too many levels is an error: code that
   * handles it recurses, and a stack overflow could stop the handling of other people's objects too.
   */
  freeForm(field: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.#typed<Record<string, unknown>>(field, "an object", isTree);
    if (value === undefined || !isNestedBeyond(value, maxLevels)) return value;
    this.error(`must be nested at most ${maxLevels} levels deep`, field);
    return undefined;
  }

  /** Returns a reader for each element. Empty if the list is absent. */
  list(field: string): readonly Reader[] {
    const value = this.#typed<readonly unknown[]>(field, "a list", Array.isArray) ?? [];
    return value.map((element, index) => new Reader(element, `${this.#at(field)}[${index}]`, this.#report));
  }

  /** Returns a reader for an empty object at the field's path, in place of an absent field. */
  empty(field: string): Reader {
    return new Reader({}, this.#at(field), this.#report);
  }

  /** Returns a reader for each element that is an object. Any other element is an error and is left out. */
  objects(field: string): readonly Reader[] {
    return this.list(field).filter((element) => {
      if (isTree(element.raw)) return true;
      element.error(`must be an object, got ${describeValue(element.raw)}`);
      return false;
    });
  }

  strings(field: string): readonly string[] {
    const found: string[] = [];
    for (const element of this.list(field)) {
      if (typeof element.raw !== "string") element.error(`must be a string, got ${describeValue(element.raw)}`);
      else if (element.raw.isWellFormed()) found.push(element.raw);
      else element.error(halfCharacter);
    }
    return found;
  }

  stringMap(field: string): Readonly<Record<string, string>> {
    const value = this.#typed<Record<string, unknown>>(field, "an object of strings", isTree) ?? {};
    const found: (readonly [string, string])[] = [];
    for (const [key, item] of Object.entries(value)) {
      if (typeof item !== "string") this.error(`must be a string, got ${describeValue(item)}`, `${field}.${key}`);
      else if (key.isWellFormed() && item.isWellFormed()) found.push([key, item]);
      else this.error(halfCharacter, `${field}.${key.toWellFormed()}`);
    }
    // An assignment would lose the key __proto__.
    return Object.fromEntries(found);
  }

  /** Marks fields as known without reading them. */
  ignore(...fields: readonly string[]): void {
    for (const field of fields) this.#known.add(field);
  }

  /** Reports all fields that were not read. `suggestion` is empty, or proposes a known field with a similar name. */
  unknownFields(
    report: (field: string, suggestion: string) => void = (field, suggestion) =>
      this.error(`is not a known field${suggestion}`, field),
  ): void {
    if (!isTree(this.#value)) return;
    let unknown = 0;
    for (const field of Object.keys(this.#value)) {
      if (this.#known.has(field)) continue;
      unknown += 1;
      const isSuggested = unknown <= maxSuggestions && field.length <= maxSuggestedLength;
      report(field, isSuggested ? this.#suggestion(field) : "");
    }
  }

  /** The result of the parser. Calls `value` only if there are no errors. */
  finish<Value>(value: () => Value): Parsed<Value> {
    const [first, ...rest] = this.#report.errors;
    if (first !== undefined) return { value: undefined, errors: [first, ...rest], warnings: this.#report.warnings };
    return { value: value(), errors: [], warnings: this.#report.warnings };
  }

  #suggestion(field: string): string {
    const near = nearestName(field, this.#known);
    return near === undefined ? "" : `; did you mean ${near}?`;
  }

  #get(field: string): unknown {
    this.#known.add(field);
    if (!isTree(this.#value)) return undefined;
    return this.#value[field] ?? undefined;
  }

  readonly #unquoted = (value: unknown): unknown =>
    this.#report.numbersMayBeQuoted === true && typeof value === "string" && quotedNumber.test(value)
      ? Number(value)
      : value;

  #typed<Value>(
    field: string,
    expected: string,
    accepts: (value: unknown) => boolean,
    convert: (value: unknown) => unknown = (value) => value,
  ): Value | undefined {
    const value = this.#get(field);
    if (value === undefined) return undefined;
    const converted = convert(value);
    if (accepts(converted)) return converted as Value;
    this.error(`must be ${expected}, got ${describeValue(value)}`, field);
    return undefined;
  }

  #at(field: string | undefined): string {
    if (field === undefined) return this.path;
    return this.path === "" ? field : `${this.path}.${field}`;
  }
}

/** For texts with half of a surrogate pair. They cannot be sent as UTF-8, and protobuf's encoder fails for them. */
const halfCharacter = "must not contain half of a character (a lone surrogate, such as \\ud800)";

/** The most unknown fields of a value for which a similar name is suggested, because finding it is slow. */
const maxSuggestions = 20;
const maxSuggestedLength = 64;

const quotedNumber = /^-?(?:0|[1-9]\d{0,20})(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/;

interface Report {
  readonly numbersMayBeQuoted?: boolean;
  readonly errors: FieldIssue[];
  readonly warnings: FieldIssue[];
  tallies?: Map<string, number>;
}

/** For each key, whether an earlier key equals it. False for undefined keys. Takes linear time. */
export function areRepeated(keys: readonly (string | number | undefined)[]): readonly boolean[] {
  const seen = new Set<string | number>();
  return keys.map((key) => {
    if (key === undefined) return false;
    const isRepeated = seen.has(key);
    seen.add(key);
    return isRepeated;
  });
}
