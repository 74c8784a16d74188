import type { ListMatcher, MetadataMatcher, ValueMatcher } from "../../../wire/envoy/index.ts";
import { invalid, unsupported } from "../config-check.ts";
import { compileString } from "./matcher-config.ts";

type ValueTest = (value: unknown) => boolean;

/** Compiles a condition on the metadata that a filter has set. The condition names the filter. */
export function compileMetadata(
  message: MetadataMatcher,
  where: string,
): (metadata: ReadonlyMap<string, unknown>) => boolean {
  const path = message.path.map((segment) => segment.segment.value ?? "");
  if (path.length === 0) throw invalid(where, "a metadata match needs a path");
  if (message.value === undefined) throw invalid(where, "a metadata match needs a value");
  const test = compileValue(message.value, where);
  const { filter, invert } = message;
  return (metadata) => test(metadataAt(metadata.get(filter), path)) !== invert;
}

/** The value at a path of keys in a filter's metadata. Undefined if there is none. */
export function metadataAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

function compileValue(message: ValueMatcher, where: string): ValueTest {
  const { matchPattern } = message;
  switch (matchPattern.case) {
    case "nullMatch":
      return (value) => value === null;
    case "stringMatch": {
      const matches = compileString(matchPattern.value, where);
      return (value) => typeof value === "string" && matches(value);
    }
    case "boolMatch":
      return (value) => value === matchPattern.value;
    case "presentMatch":
      return (value) => (value !== undefined) === matchPattern.value;
    case "listMatch":
      return compileList(matchPattern.value, where);
    case "orMatch": {
      const tests = matchPattern.value.valueMatchers.map((matcher) => compileValue(matcher, where));
      return (value) => tests.some((test) => test(value));
    }
    default:
      throw unsupported(where, "this kind of metadata value match");
  }
}

function compileList(message: ListMatcher, where: string): ValueTest {
  if (message.matchPattern.case !== "oneOf") throw unsupported(where, "this kind of metadata list match");
  const test = compileValue(message.matchPattern.value, where);
  return (value) => Array.isArray(value) && value.some((element) => test(element));
}
