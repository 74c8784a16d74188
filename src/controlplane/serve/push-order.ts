import { ownField } from "../../base/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";

/**
 * Make before break: a type is sent and acknowledged before the types that use it. Removals come last, in the opposite
 * order. Types of different chains do not wait for each other.
 */
const chains: readonly (readonly string[])[] = [
  [typeUrls.cluster, typeUrls.endpoint, typeUrls.listener, typeUrls.route, typeUrls.virtualHost],
  [typeUrls.authorization, typeUrls.address],
];

/** The types of this type's chain, in the order of additions. */
export function chainOf(typeUrl: string): readonly string[] {
  return chains.find((chain) => chain.includes(typeUrl)) ?? [typeUrl];
}

const befores = new Map(
  chains.flatMap((chain) => chain.map((typeUrl, index) => [typeUrl, chain.slice(0, index)] as const)),
);
const afters = new Map(
  chains.flatMap((chain) => chain.map((typeUrl, index) => [typeUrl, chain.slice(index + 1)] as const)),
);
const none: readonly string[] = [];

/** The types that must be acknowledged before additions of this type. */
export function typesBefore(typeUrl: string): readonly string[] {
  return befores.get(typeUrl) ?? none;
}

/** The types whose removals come before removals of this type. */
export function typesAfter(typeUrl: string): readonly string[] {
  return afters.get(typeUrl) ?? none;
}

/** The order of types: first those of all chains in their order, and then all others. */
export function byPushOrder(left: string, right: string): number {
  return rank(left) - rank(right);
}

const order = chains.flat();

function rank(typeUrl: string): number {
  const index = order.indexOf(typeUrl);
  return index < 0 ? order.length : index;
}

export function isWholeInStateOfTheWorld(typeUrl: string): boolean {
  return typeUrl === typeUrls.cluster || typeUrl === typeUrls.listener;
}

const shortNames: Readonly<Record<string, string>> = {
  [typeUrls.cluster]: "cds",
  [typeUrls.endpoint]: "eds",
  [typeUrls.listener]: "lds",
  [typeUrls.route]: "rds",
  [typeUrls.virtualHost]: "vhds",
  [typeUrls.address]: "wds",
  [typeUrls.workload]: "wds",
  [typeUrls.authorization]: "wads",
  [typeUrls.extensionConfig]: "ecds",
  [typeUrls.secret]: "sds",
  [typeUrls.nameTable]: "nds",
  [typeUrls.proxyConfig]: "pcds",
};

export function shortTypeName(typeUrl: string): string {
  return ownField(shortNames, typeUrl) ?? typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}
