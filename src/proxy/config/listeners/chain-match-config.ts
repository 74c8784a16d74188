import { addressBytes, ownField } from "../../../base/index.ts";
import {
  FilterStateInputSchema,
  type FilterStateInput,
  FilterChainMatch_ConnectionSourceType,
  FilterChainMatchSchema,
  IPMatcherSchema,
  type CidrRange,
  type FilterChainMatch as FilterChainMatchMessage,
  type IPMatcher,
  type XdsCidrRange,
  type Matcher as XdsMatcher,
  type Matcher_MatcherList_Predicate as XdsPredicate,
  type Matcher_OnMatch as XdsOnMatch,
} from "../../../wire/envoy/index.ts";
import {
  connectionInputs,
  connectionStates,
  exactNode,
  listNode,
  prefixNode,
  rangeNode,
  type ChainMatcher,
  type ConnectionInput,
} from "../../listener/chain-matcher.ts";
import type { AddressRange, ConnectionTraits, FilterChainMatch } from "../../listener/filter-chain-match.ts";
import { checkFields, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { unpack } from "../typed-struct.ts";

const sourceTypes: Readonly<Record<number, FilterChainMatch["sourceType"]>> = {
  [FilterChainMatch_ConnectionSourceType.ANY]: "any",
  [FilterChainMatch_ConnectionSourceType.SAME_IP_OR_LOOPBACK]: "local",
  [FilterChainMatch_ConnectionSourceType.EXTERNAL]: "external",
};

/** Compiles a chain's conditions. An absent condition matches every connection. */
export function compileFilterChainMatch(
  message: FilterChainMatchMessage | undefined,
  where: string,
  notes: ConfigNotes,
): FilterChainMatch {
  if (message !== undefined) {
    checkFields(FilterChainMatchSchema, message, `${where}: filterChainMatch`, notes, {
      used: [
        "destinationPort",
        "prefixRanges",
        "serverNames",
        "transportProtocol",
        "applicationProtocols",
        "directSourcePrefixRanges",
        "sourceType",
        "sourcePrefixRanges",
        "sourcePorts",
      ],
    });
  }
  const ranges = (list: readonly (CidrRange | XdsCidrRange)[] | undefined): AddressRange[] =>
    (list ?? []).map((range) => addressRange(range, where));
  return {
    destinationPort: message?.destinationPort ?? 0,
    destinationRanges: ranges(message?.prefixRanges),
    serverNames: (message?.serverNames ?? []).map((name) => name.toLowerCase()),
    transportProtocol: message?.transportProtocol ?? "",
    applicationProtocols: message?.applicationProtocols ?? [],
    directSourceRanges: ranges(message?.directSourcePrefixRanges),
    sourceType: sourceTypes[message?.sourceType ?? FilterChainMatch_ConnectionSourceType.ANY] ?? "any",
    sourceRanges: ranges(message?.sourcePrefixRanges),
    sourcePorts: message?.sourcePorts ?? [],
  };
}

function addressRange(
  { addressPrefix, prefixLen }: Pick<CidrRange, "addressPrefix" | "prefixLen">,
  where: string,
): AddressRange {
  const bytes = addressBytes(addressPrefix);
  if (bytes === undefined) throw invalid(where, `"${addressPrefix}" is not an IP address`);
  const length = prefixLen ?? 0;
  if (length > bytes.length * 8)
    throw invalid(where, `the prefix length ${length} of ${addressPrefix} is longer than the address`);
  return { bytes, length };
}

const nothing: ChainMatcher = () => undefined;

export function compileChainMatcher(message: XdsMatcher, where: string): ChainMatcher {
  const otherwise = message.onNoMatch === undefined ? nothing : compileOnMatch(message.onNoMatch, where);
  const type = message.matcherType;
  switch (type.case) {
    case "matcherList":
      return listNode(
        type.value.matchers.map(({ predicate, onMatch }) => ({
          holds: compilePredicate(predicate, where),
          next: compileOnMatch(onMatch, where),
        })),
        otherwise,
      );
    case "matcherTree": {
      const input = inputOf(type.value.input, where);
      const tree = type.value.treeType;
      if (tree.case === "exactMatchMap") return exactNode(input, branchesOf(tree.value.map, where), otherwise);
      if (tree.case === "prefixMatchMap") return prefixNode(input, branchesOf(tree.value.map, where), otherwise);
      const custom =
        tree.case === "customMatch" && tree.value.typedConfig !== undefined
          ? unpack(tree.value.typedConfig, where)
          : undefined;
      if (custom?.$typeName !== IPMatcherSchema.typeName)
        throw unsupported(where, `a matcher tree of the type ${custom?.$typeName ?? tree.case ?? "nothing"}`);
      return rangeNode(input, rangesOf(custom as IPMatcher, where), addressBytes, otherwise);
    }
    default:
      return otherwise;
  }
}

function branchesOf(map: Readonly<Record<string, XdsOnMatch>>, where: string): Map<string, ChainMatcher> {
  return new Map(Object.entries(map).map(([value, onMatch]) => [value, compileOnMatch(onMatch, where)]));
}

function rangesOf(matcher: IPMatcher, where: string): { readonly range: AddressRange; readonly next: ChainMatcher }[] {
  return matcher.rangeMatchers.flatMap(({ ranges, onMatch }) => {
    const next = compileOnMatch(onMatch, where);
    return ranges.map((range) => ({ range: addressRange(range, where), next }));
  });
}

function compileOnMatch(message: XdsOnMatch | undefined, where: string): ChainMatcher {
  switch (message?.onMatch.case) {
    case "matcher":
      return compileChainMatcher(message.onMatch.value, where);
    case "action": {
      const { typedConfig, name } = message.onMatch.value;
      const value = typedConfig === undefined ? undefined : unpack(typedConfig, where);
      const chain = value?.$typeName === "google.protobuf.StringValue" ? String(Reflect.get(value, "value")) : name;
      return () => chain;
    }
    default:
      throw invalid(where, "a branch of filterChainMatcher has neither a matcher nor an action");
  }
}

function inputOf(
  input: { readonly typedConfig?: Parameters<typeof unpack>[0] | undefined } | undefined,
  where: string,
): ConnectionInput {
  const config = input?.typedConfig === undefined ? undefined : unpack(input.typedConfig, where);
  const typeName = config?.$typeName;
  if (typeName === FilterStateInputSchema.typeName) {
    const { key } = config as FilterStateInput;
    const state = ownField(connectionStates, key);
    if (state === undefined) throw unsupported(where, `filterChainMatcher by the filter state ${key}`);
    return state;
  }
  const found = connectionInputs[typeName?.split(".").at(-1) ?? ""];
  if (found === undefined)
    throw unsupported(where, `filterChainMatcher by the input ${typeName ?? input?.typedConfig?.typeUrl ?? "(none)"}`);
  return found;
}

function compilePredicate(message: XdsPredicate | undefined, where: string): (traits: ConnectionTraits) => boolean {
  const type = message?.matchType;
  switch (type?.case) {
    case "singlePredicate": {
      const input = inputOf(type.value.input, where);
      if (type.value.matcher.case !== "valueMatch")
        throw unsupported(where, `filterChainMatcher by ${type.value.matcher.case ?? "nothing"}`);
      const { matchPattern, ignoreCase } = type.value.matcher.value;
      const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
      if (matchPattern.case === undefined || typeof matchPattern.value !== "string")
        throw unsupported(where, `filterChainMatcher by ${matchPattern.case ?? "an empty string match"}`);
      const wanted = fold(matchPattern.value);
      const tests = {
        exact: (value: string) => value === wanted,
        prefix: (value: string) => value.startsWith(wanted),
        suffix: (value: string) => value.endsWith(wanted),
        contains: (value: string) => value.includes(wanted),
      };
      const test = tests[matchPattern.case];
      return (traits) => {
        const value = input(traits);
        return value !== undefined && test(fold(value));
      };
    }
    case "orMatcher": {
      const any = type.value.predicate.map((inner) => compilePredicate(inner, where));
      return (traits) => any.some((holds) => holds(traits));
    }
    case "andMatcher": {
      const all = type.value.predicate.map((inner) => compilePredicate(inner, where));
      return (traits) => all.every((holds) => holds(traits));
    }
    case "notMatcher": {
      const inner = compilePredicate(type.value, where);
      return (traits) => !inner(traits);
    }
    default:
      throw invalid(where, "a predicate of filterChainMatcher is empty");
  }
}
