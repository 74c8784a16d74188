import type { UntypedObject } from "../../../api/index.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import { valueAt } from "../../act/object-access.ts";
import { describeReference } from "../../decide/index.ts";
import { backendsField, ruleIndex, targetError, type MovedRoute, type RouteInWorld } from "../../plan/index.ts";
import { routeFault, withoutNulls } from "../stored-fields.ts";
import type { CanarySources } from "./canary-sources.ts";
import { firstWrite } from "./prior-values.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Reads the list of a user's route before the rollout, and checks that the target can move a rule of it. */
export async function routeInWorld(
  { objects }: CanarySources,
  route: MovedRoute,
  journal: readonly JournalEntry[],
): Promise<RouteInWorld> {
  const isWritten = firstWrite(journal, route.object, route.pointer) !== undefined;
  return routeFrom(route, journal, isWritten ? undefined : await objects.get(route.object));
}

/** The same as {@link routeInWorld} with the object as it is. It is needed only if the journal has no entry of it. */
export function routeFrom(
  route: MovedRoute,
  journal: readonly JournalEntry[],
  current: UntypedObject | undefined,
): RouteInWorld {
  const { object, pointer, field } = route;
  const written = firstWrite(journal, object, pointer);
  const list = written === undefined ? valueAt(current, pointer) : written.prior;
  const title = describeReference(object);
  if (!Array.isArray(list)) {
    const found = current === undefined ? "does not exist" : `has no ${pointer.slice("/spec/".length)}`;
    throw targetError("target-missing", `${field}: ${title} ${found}`, "create it first, or name another");
  }
  const fault = routeFault(object.kind, list);
  if (fault !== undefined)
    throw targetError(
      "target-unclear",
      `${field}: ${title} has a field of a wrong type: ${pointer.slice(1).replaceAll("/", ".")}${fault}`,
      "correct it",
    );
  const rules = withoutNulls(list as readonly Fields[]);
  checkRule(route, rules, title);
  return { object, pointer, list: rules };
}

function checkRule(route: MovedRoute, list: readonly Fields[], title: string): void {
  const { field, stable, pairing, rule } = route;
  const backendsAt = (index: number): readonly Fields[] =>
    (list[index]?.[backendsField(route)] as readonly Fields[] | undefined) ?? [];
  if (rule === undefined) {
    if (!list.some((_, index) => backendsAt(index).some((backend) => pairing.isStable(backend)))) {
      throw targetError("target-missing", `${field}: no rule of ${title} sends to ${stable}`, "name a route that does");
    }
    return;
  }
  const place =
    typeof rule === "string" ? `route named ${rule}` : `${backendsField(route) === "route" ? "route" : "rule"} ${rule}`;
  const index = ruleIndex(route, list);
  if (index === undefined) {
    const names = list.map((entry, at) => (typeof entry["name"] === "string" ? entry["name"] : String(at)));
    throw targetError("target-missing", `${field}: ${title} has no ${place}`, `it has ${names.join(", ")}`);
  }
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
      `its backends are ${backends.map(backendText).join(", ")}`,
    );
  }
}

function backendText(backend: Fields): string {
  const { host, subset } = (backend["destination"] ?? {}) as { host?: string; subset?: string };
  if (host !== undefined) return subset === undefined ? host : `${host} subset ${subset}`;
  const { namespace, name, port } = backend as { namespace?: string; name?: string; port?: number };
  return `${namespace === undefined ? "" : `${namespace}/`}${name ?? ""}:${port ?? ""}`;
}
