import type { MessageInitShape } from "@bufbuild/protobuf";
import { cidrOf } from "../../../base/index.ts";
import type {
  HeaderMatcherSchema,
  MetadataMatcherSchema,
  PermissionSchema,
  StringMatcherSchema,
} from "../../../wire/envoy/index.ts";

export type StringMatcherInit = Exclude<MessageInitShape<typeof StringMatcherSchema>, { $typeName: string }>;
export type HeaderMatcherInit = Exclude<MessageInitShape<typeof HeaderMatcherSchema>, { $typeName: string }>;
export type MetadataMatcherInit = Exclude<MessageInitShape<typeof MetadataMatcherSchema>, { $typeName: string }>;
type PermissionInit = Exclude<MessageInitShape<typeof PermissionSchema>, { $typeName: string }>;
type ValueMatcherInit = NonNullable<MetadataMatcherInit["value"]>;
type CidrRangeInit = Extract<NonNullable<PermissionInit["rule"]>, { case: "destinationIp" }>["value"];

export function exactly(text: string, ignoreCase = false): StringMatcherInit {
  return { matchPattern: { case: "exact", value: text }, ignoreCase };
}

export function startingWith(text: string, ignoreCase = false): StringMatcherInit {
  return { matchPattern: { case: "prefix", value: text }, ignoreCase };
}

export function endingWith(text: string, ignoreCase = false): StringMatcherInit {
  return { matchPattern: { case: "suffix", value: text }, ignoreCase };
}

export function matching(regex: string): StringMatcherInit {
  return { matchPattern: { case: "safeRegex", value: { regex } } };
}

/** Matches any text except the empty one. */
export const anything: StringMatcherInit = matching(".+");

export function quoteRegex(text: string): string {
  return text.replaceAll(/[\\.+*?()|[\]{}^$]/g, String.raw`\$&`);
}

/**
 * Matches Istio's patterns `*`, `*suffix`, `prefix*` and exact texts. In the value, the fixed text `beginning` precedes
 * what the pattern matches.
 */
export function patternMatcher(pattern: string, beginning = ""): StringMatcherInit {
  if (pattern === "*") return anything;
  if (pattern.startsWith("*"))
    return beginning === "" ? endingWith(pattern.slice(1)) : matching(`${beginning}.*${quoteRegex(pattern.slice(1))}`);
  if (pattern.endsWith("*")) return startingWith(beginning + pattern.slice(0, -1));
  return exactly(beginning + pattern);
}

export function headerMatcher(name: string, pattern: string): HeaderMatcherInit {
  if (pattern === "*") return { name, headerMatchSpecifier: { case: "presentMatch", value: true } };
  return { name, headerMatchSpecifier: { case: "stringMatch", value: patternMatcher(pattern) } };
}

/** Ignores case. */
export function hostMatcher(pattern: string): HeaderMatcherInit {
  const name = ":authority";
  if (pattern === "*") return { name, headerMatchSpecifier: { case: "presentMatch", value: true } };
  const value = pattern.startsWith("*")
    ? endingWith(pattern.slice(1), true)
    : pattern.endsWith("*")
      ? startingWith(pattern.slice(0, -1), true)
      : exactly(pattern, true);
  return { name, headerMatchSpecifier: { case: "stringMatch", value } };
}

export function textValue(matcher: StringMatcherInit): ValueMatcherInit {
  return { matchPattern: { case: "stringMatch", value: matcher } };
}

export function oneOfValues(matchers: readonly ValueMatcherInit[]): ValueMatcherInit {
  const [first, ...rest] = matchers;
  return first !== undefined && rest.length === 0
    ? first
    : { matchPattern: { case: "orMatch", value: { valueMatchers: [...matchers] } } };
}

export function metadataMatcher(filter: string, path: readonly string[], value: ValueMatcherInit): MetadataMatcherInit {
  return { filter, path: path.map((key) => ({ segment: { case: "key" as const, value: key } })), value };
}

export function listOrValue(value: ValueMatcherInit): ValueMatcherInit {
  return {
    matchPattern: {
      case: "orMatch",
      value: {
        valueMatchers: [
          { matchPattern: { case: "listMatch", value: { matchPattern: { case: "oneOf", value } } } },
          value,
        ],
      },
    },
  };
}

/** Parses an address or a CIDR. Undefined for any other text. */
export function cidrRange(text: string): CidrRangeInit | undefined {
  const cidr = cidrOf(text);
  return cidr === undefined ? undefined : { addressPrefix: text.split("/")[0] ?? "", prefixLen: cidr.length };
}
