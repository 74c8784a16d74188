import type { UntypedObject } from "../../../api/index.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import { withoutNulls, type Tree } from "../../../base/index.ts";
import { valueAt } from "../../act/object-access.ts";
import { describeReference, fieldEntries, listWithout } from "../../decide/index.ts";
import {
  backendsField,
  ownRecord,
  ruleIndex,
  ruleNames,
  targetError,
  type MovedRoute,
  type RouteInWorld,
} from "../../plan/index.ts";
import { routeFault } from "../stored-fields.ts";
import type { CanarySources } from "./canary-sources.ts";
import { firstWrite } from "./prior-values.ts";

/** Reads the list of a user's route as it was before the rollout, and throws if the target cannot move a rule of it. */
export async function routeInWorld(
  { objects, others }: CanarySources,
  route: MovedRoute,
  journal: readonly JournalEntry[],
): Promise<RouteInWorld> {
  if (firstWrite(journal, route.object, route.pointer) !== undefined) return routeFrom(route, journal, undefined);
  const current = await objects.get(route.object);
  const isCounted = typeof route.rule === "number" && ownRecord(route) === undefined;
  return routeFrom(route, journal, current, isCounted ? await others?.() : []);
}

/**
 * The same as {@link routeInWorld}, for a given object. `current` is used only if the journal has no entry of the list.
 * `others`: the journals of other rollouts. The rules that they added do not count for a rule's position.
 */
export function routeFrom(
  route: MovedRoute,
  journal: readonly JournalEntry[],
  current: UntypedObject | undefined,
  others: readonly (readonly JournalEntry[])[] = [],
): RouteInWorld {
  const { object, pointer, field } = route;
  const written = firstWrite(journal, object, pointer);
  const found = (): unknown =>
    others.reduce<unknown>((now, entries) => listWithout(fieldEntries(entries, route), now), valueAt(current, pointer));
  const list = written === undefined ? found() : written.prior;
  const title = describeReference(object);
  if (!Array.isArray(list)) {
    if (current === undefined)
      throw targetError("target-missing", `${field}: ${title} does not exist`, "create it first, or name another");
    const others = listsOf(object.kind).filter((name) => Array.isArray(valueAt(current, `/spec/${name}`)));
    throw targetError(
      "target-missing",
      `${field}: ${title} has no ${pointer.slice("/spec/".length)}`,
      others.length === 0 ? "add it first, or name another" : `set protocol: ${others.join(" or ")}, or name another`,
    );
  }
  const fault = routeFault(object.kind, list);
  if (fault !== undefined)
    throw targetError(
      "target-unclear",
      `${field}: ${title} has a field of a wrong type: ${pointer.slice(1).replaceAll("/", ".")}${fault}`,
      "correct it",
    );
  const rules = withoutNulls(list as readonly Tree[]);
  checkRule(route, rules, title);
  return { object, pointer, list: rules };
}

/**
 * The fields of a VirtualService that may contain routes, one for each protocol. A route of another kind has one list,
 * so nothing to choose.
 */
function listsOf(kind: string): readonly string[] {
  return kind === "VirtualService" ? ["http", "tcp", "tls"] : [];
}

/** The advice for a rule that the list does not have: how to name one of its rules. */
function choiceOf(rule: number | string, list: readonly Tree[]): string {
  if (typeof rule === "string" && /^\d+$/.test(rule) && Number(rule) < list.length)
    return `a position is a number without quotes: write ${rule}, not "${rule}"`;
  const last = list.length - 1;
  const positions = last < 1 ? "0" : `0 to ${last}`;
  const names = ruleNames(list);
  return names === undefined
    ? `name it by its position, ${positions}`
    : `name it by its name, ${names}, or by its position, ${positions}`;
}

function checkRule(route: MovedRoute, list: readonly Tree[], title: string): void {
  const { field, stable, pairing, rule } = route;
  const backendsAt = (index: number): readonly Tree[] =>
    (list[index]?.[backendsField(route)] as readonly Tree[] | undefined) ?? [];
  if (rule === undefined) {
    if (!list.some((_, index) => backendsAt(index).some((backend) => pairing.isStable(backend)))) {
      throw targetError("target-missing", `${field}: no rule of ${title} sends to ${stable}`, "name a route that does");
    }
    return;
  }
  const entry = backendsField(route) === "route" ? "route" : "rule";
  const index = ruleIndex(route, list);
  const isMoved = typeof rule === "number" && index !== undefined && index !== rule;
  const now = isMoved ? ` (now at position ${index})` : "";
  const place = typeof rule === "string" ? `${entry} named "${rule}"` : `${entry} ${rule}${now}`;
  if (index === undefined)
    throw targetError("target-missing", `${field}: ${title} has no ${place}`, choiceOf(rule, list));
  const backends = backendsAt(index);
  if (backends.length === 0)
    throw targetError(
      "target-missing",
      `${field}: ${place} of ${title} sends to nothing (it redirects, delegates or answers itself)`,
      "name one with backends",
    );
  if (!backends.some((backend) => pairing.isStable(backend))) {
    throw targetError(
      "target-missing",
      `${field}.stable: ${place} of ${title} does not send to ${stable}`,
      `name one of its backends: ${backends.map(backendText).join(", ")}`,
    );
  }
}

function backendText(backend: Tree): string {
  const { host, subset } = (backend["destination"] ?? {}) as { host?: string; subset?: string };
  if (host !== undefined) return subset === undefined ? host : `${host} subset ${subset}`;
  const { namespace, name, port } = backend as { namespace?: string; name?: string; port?: number };
  return `${namespace === undefined ? "" : `${namespace}/`}${name ?? ""}:${port ?? ""}`;
}
