import { isFieldSet, type DescMessage, type Message, type MessageShape } from "@bufbuild/protobuf";
import { invariant, userError } from "../../base/index.ts";
import { standaloneServices, type FilterServices } from "../filters/filter-services.ts";
import { durationMs as milliseconds, type DurationLike } from "./duration.ts";

/** Collects configuration that has no effect here. It is reported once and never refused. */
export class ConfigNotes {
  readonly #seen = new Set<string>();
  readonly #report: (note: string) => void;
  /** The services that compiled filters use. */
  readonly services: FilterServices;

  constructor(report: (note: string) => void, services: FilterServices = standaloneServices()) {
    this.#report = report;
    this.services = services;
  }

  /** Reports each unsupported setting once, however many resources contain it. */
  ignored(field: string): void {
    this.tell(`${field} has no effect here`);
  }

  /** Reports each text once. */
  tell(note: string): void {
    if (this.#seen.has(note) || this.#seen.size >= maxNotes) return;
    this.#seen.add(note);
    this.#report(note);
  }
}

const maxNotes = 1000;

/**
 * A configuration that cannot be served as written. The message names the resource and the field, and becomes the NACK.
 */
export function unsupported(where: string, field: string): Error {
  return userError("config-rejected", `${where}: ${field} is not supported`);
}

export function invalid(where: string, expected: string): Error {
  return userError("config-rejected", `${where}: ${expected}`);
}

export interface FieldRules {
  /** Fields with support (in lowerCamelCase, as in protobuf JSON). */
  readonly used: readonly string[];
  /** Fields that may be set and have no influence on this proxy. */
  readonly harmless?: readonly string[];
}

/** Refuses a message with a field that is in neither list, because the field would silently have no effect. */
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

/** Refuses a message with unknown fields. For messages in which a missing field would change access rights. */
export function refuseUnknown<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  where: string,
): void {
  const [first] = message.$unknown ?? [];
  if (first !== undefined) throw unsupported(where, `${schema.typeName} field number ${first.no}`);
}

/** A duration in milliseconds, or `fallbackMs` if it is not set. */
export function durationOr(duration: DurationLike | undefined, fallbackMs: number): number {
  return duration === undefined ? fallbackMs : milliseconds(duration);
}
