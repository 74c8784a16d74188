import { createHash } from "node:crypto";
import { canonicalJson, type Tree } from "../../../base/index.ts";
import type { MeantRule, ObjectReference } from "../../../api/serin/index.ts";
import { describeReference, fieldKey, storedKey } from "../../decide/index.ts";
import { ruleNames } from "./rule-names.ts";
import { targetError } from "./target-error.ts";

/**
 * How many rules before and after the meant one are remembered. They show whether somebody has inserted or removed a
 * rule there. An HTTPRoute has at most 16 rules, and a VirtualService may have thousands.
 */
const maxNeighbours = 16;

/** A route of a target, with the record of the rule that the target's position has meant so far. */
export interface PositionedRoute {
  readonly object: ObjectReference;
  readonly pointer: string;
  readonly protocol: "http" | "tcp" | "tls";
  readonly field: string;
  readonly rule?: number | string;
  /** The target as the API server stores it. If that is unknown, the parsed target. */
  readonly target: unknown;
  readonly meant?: MeantRule;
}

/** The record of the rule at this index, for the next plan. Undefined if the target does not name it by position. */
export function recordOf(route: PositionedRoute, list: readonly Tree[], index: number): MeantRule | undefined {
  const { rule, target } = route;
  if (typeof rule !== "number") return undefined;
  const from = Math.max(0, index - maxNeighbours);
  const known = list.slice(from, index + maxNeighbours + 1).map(identityOf);
  return {
    route: `${storedKey(route.object)} ${route.pointer}`,
    rule,
    target: digestOf(target),
    index,
    from,
    known,
    length: list.length,
  };
}

/**
 * The index of the rule that the target's position means. The position itself decides only in the first plan that the
 * engine accepts and that no other rollout precedes. From then on the engine recognises the rule by its name, or by its
 * matches, because somebody may insert another rule before it. `isStable`: whether the rule at an index sends to the
 * stable backend. Throws a user error if the position has become ambiguous.
 */
export function meantIndex(
  route: PositionedRoute,
  list: readonly Tree[],
  isStable: (index: number) => boolean,
): number | undefined {
  const { rule } = route;
  if (typeof rule !== "number") return undefined;
  const meant = ownRecord(route);
  if (meant === undefined) return rule;
  const index = indexNow(meant, list, isStable);
  const place = `${route.field}: position ${rule} of ${describeReference(route.object)}`;
  const advice = adviceFor(route, meant, list);
  if (index === "several")
    throw targetError(
      "target-unclear",
      `${place} is not the rule that it was, and several rules look like that one`,
      advice,
    );
  if (index === undefined)
    throw targetError("target-unclear", `${place} is not the rule that it was, which is gone`, advice);
  // The user who has changed the target may or may not have adapted the position to inserted rules, so it is ambiguous.
  if (index !== rule && meant.target !== digestOf(route.target))
    throw targetError(
      "target-unclear",
      `${place} is not the rule that it was when this Canary had another target: that one is at position ${index} now`,
      `write ${index} if you mean that one, or ${advice}`,
    );
  return index;
}

/** The record of the route's position. Undefined if there is none, or if the record belongs to a former target. */
export function ownRecord(route: PositionedRoute): MeantRule | undefined {
  const { rule, meant } = route;
  return meant !== undefined && isOfRoute(meant, route) && meant.rule === rule ? meant : undefined;
}

/** Whether the record belongs to the route. The next release may read the route in another version of its API. */
function isOfRoute(meant: MeantRule, route: PositionedRoute): boolean {
  return meant.route.replace(/^([^/]+)\/v[^/]+\//, "$1/") === fieldKey(route);
}

/** A text that is equal for two Canaries that mean the same rule by their positions. */
export function meantIdentity(meant: MeantRule | undefined): string | undefined {
  return meant?.known[meant.index - meant.from];
}

function indexNow(
  { known, from, index, length }: MeantRule,
  list: readonly Tree[],
  isStable: (index: number) => boolean,
): number | "several" | undefined {
  const isSame = (at: number): boolean => {
    const rule = list[from + at];
    return rule !== undefined && identityOf(rule) === known[at];
  };
  // Every plan calls this, and to compute digests of thousands of rules takes long.
  if ([...known.keys()].every(isSame)) return index;
  const now = list.map(identityOf);
  const own = known[index - from] ?? "";
  const named = nameOf(own) === "" ? [] : matching(now, (other) => nameOf(other) === nameOf(own));
  const alike = named.length > 0 ? named : matching(now, (other) => isAlike(own, other));
  const candidates = alike.length > 1 ? alike.filter(isStable) : alike;
  if (candidates.length > 1) return "several";
  if (candidates.length === 1) return candidates[0];
  // Somebody has changed the matches of the rule, and no rule has moved.
  const isEdited = now.length === length && [...known.keys()].every((at) => at === index - from || isSame(at));
  return isEdited ? index : undefined;
}

function matching(now: readonly string[], isIt: (identity: string) => boolean): number[] {
  return [...now.keys()].filter((index) => isIt(now[index] ?? ""));
}

/** Whether both rules match the same requests, and do not have two different names. */
function isAlike(a: string, b: string): boolean {
  const isRenamed = nameOf(a) !== "" && nameOf(b) !== "" && nameOf(a) !== nameOf(b);
  return !isRenamed && a.split(":")[1] === b.split(":")[1];
}

/** The identity of a rule: digests of its name, if it has one, and of its matches. */
function identityOf({ name, match, matches }: Tree): string {
  return `${typeof name === "string" ? digestOf(name) : ""}:${digestOf([match, matches])}`;
}

function nameOf(identity: string): string {
  return identity.split(":")[0] ?? "";
}

const digestLength = 8;

function digestOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex").slice(0, digestLength);
}

function adviceFor({ protocol }: PositionedRoute, meant: MeantRule, list: readonly Tree[]): string {
  if (protocol !== "http")
    return `${protocol} routes have no names: create the Canary again with the position that the rule has now`;
  const names = nameOf(meantIdentity(meant) ?? "") === "" ? undefined : ruleNames(list);
  return names !== undefined
    ? `write the name of the rule that you mean instead of the position: ${names}`
    : "give the rule that you mean a name, and write the name instead of the position, or create the Canary again";
}
