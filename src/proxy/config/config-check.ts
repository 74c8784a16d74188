import { isFieldSet, type DescMessage, type Message, type MessageShape } from "@bufbuild/protobuf";
import { invariant, userError } from "../../base/index.ts";
import { standaloneServices, type FilterServices } from "../filters/filter-services.ts";
import { durationMs as milliseconds, type DurationLike } from "./duration.ts";

/** Collects configuration that has no effect in this proxy. Each setting is reported once, and never causes a NACK. */
export class ConfigNotes {
  readonly #seen = new Set<string>();
  readonly #report: (note: string) => void;
  readonly services: FilterServices;

  constructor(report: (note: string) => void, services: FilterServices = standaloneServices()) {
    this.#report = report;
    this.services = services;
  }

  ignored(field: string): void {
    this.tell(`${field} has no effect here`);
  }

  tell(note: string): void {
    if (this.#seen.has(note) || this.#seen.size >= maxNotes) return;
    this.#seen.add(note);
    this.#report(note);
  }
}

const maxNotes = 1000;

/**
 * The error for a configuration that cannot be served as written. Its message names the resource and the field, and
 * becomes the NACK.
 */
export function unsupported(where: string, field: string): Error {
  return userError("config-rejected", `${where}: ${field} is not supported`);
}

export function invalid(where: string, expected: string): Error {
  return userError("config-rejected", `${where}: ${expected}`);
}

export interface FieldRules {
  /** The names of fields that this proxy supports, in lowerCamelCase as in protobuf's JSON. */
  readonly used: readonly string[];
  /** The names of fields that may be set although they do not influence this proxy. */
  readonly harmless?: readonly string[];
}

/** Refuses a message that sets a field outside of both lists. Otherwise the field would silently have no effect. */
export function checkFields<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  where: string,
  notes: ConfigNotes,
  rules: FieldRules,
): void {
  for (const field of schema.fields) {
    if (!isFieldSet(message, field) || rules.used.includes(field.jsonName) || rules.used.includes(field.localName))
      continue;
    if (rules.harmless?.includes(field.jsonName) === true) continue;
    throw unsupported(where, `the field ${field.jsonName}`);
  }
  const unknown = message.$unknown ?? [];
  for (const { no } of unknown) notes.ignored(`${schema.typeName} field number ${no}`);
}

/** Checks a nested message like {@link checkFields}. An absent message is valid. */
export function checkNested(
  schema: DescMessage,
  field: string,
  message: Message | undefined,
  { where, notes }: { readonly where: string; readonly notes: ConfigNotes },
  rules: FieldRules,
): void {
  if (message === undefined) return;
  const nested = schema.fields.find(({ jsonName }) => jsonName === field)?.message;
  invariant(nested !== undefined, `${schema.typeName} has no message ${field}`);
  checkFields(nested, message, `${where}: ${field}`, notes, rules);
}

/**
 * Refuses a message with unknown fields. Used for messages in which a missing condition would change who has access.
 */
export function refuseUnknown<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  where: string,
): void {
  const [first] = message.$unknown ?? [];
  if (first !== undefined) throw unsupported(where, `${schema.typeName} field number ${first.no}`);
}

/** A duration in milliseconds, or `fallbackMs` if the duration is not set. */
export function durationOr(duration: DurationLike | undefined, fallbackMs: number): number {
  return duration === undefined ? fallbackMs : milliseconds(duration);
}
