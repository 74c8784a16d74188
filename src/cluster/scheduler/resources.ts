import { ofWholePod } from "../schema/pod-amounts.ts";
import type { Container, Pod } from "../../api/kubernetes/index.ts";

const multipliers: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A quantity as a number in its base unit: cores, bytes or items. An invalid quantity counts as 0. */
export function quantity(text: string | number | undefined): number {
  if (text === undefined) return 0;
  const parts = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)$/.exec(String(text));
  const multiplier = multipliers[parts?.[2] ?? ""];
  return parts === null || multiplier === undefined ? 0 : Number(parts[1]) * multiplier;
}

export type Resources = ReadonlyMap<string, number>;

/**
 * The resources that a pod needs on its node: the sum of its containers and sidecars, or the need of an init container
 * with the sidecars that run beside it, if that is larger (KEP-753). A request for the whole pod replaces this value.
 * The pod's overhead is added.
 */
export function requestsOf(pod: Pod): Resources {
  const total = new Map<string, number>();
  for (const container of pod.spec?.containers ?? []) add(total, requests(container));
  const sidecars = new Map<string, number>();
  const peak = new Map<string, number>();
  for (const container of pod.spec?.initContainers ?? []) {
    const own = requests(container);
    if (container.restartPolicy === "Always") add(sidecars, own);
    else
      for (const [name, value] of own) peak.set(name, Math.max(peak.get(name) ?? 0, value + (sidecars.get(name) ?? 0)));
  }
  add(total, sidecars);
  for (const [name, value] of peak) total.set(name, Math.max(total.get(name) ?? 0, value));
  for (const [name, value] of requests((pod.spec ?? {}) as Pick<Container, "resources">))
    if (ofWholePod.test(name)) total.set(name, value);
  add(total, new Map(Object.entries(pod.spec?.overhead ?? {}).map(([name, value]) => [name, quantity(value)])));
  return total;
}

function requests({ resources }: Pick<Container, "resources">): Resources {
  const quantities = { ...resources?.limits, ...resources?.requests };
  return new Map(Object.entries(quantities).map(([name, value]) => [name, quantity(value)]));
}

function add(into: Map<string, number>, more: Resources): void {
  for (const [name, value] of more) into.set(name, (into.get(name) ?? 0) + value);
}
