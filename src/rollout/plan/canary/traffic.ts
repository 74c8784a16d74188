import type { TrafficMatch } from "../../../api/serin/index.ts";

/** Any object of JSON: routes are changed as they are stored, so that fields that nobody here knows are kept. */
export type Fields = Readonly<Record<string, unknown>>;

/** Whom a step sends where; each kind of route is written from this and from what it said before the rollout. */
export interface Traffic {
  /** Percent to the canary. */
  readonly weight: number;
  /** Requests that go to the canary whatever the weight, of all steps so far. */
  readonly matches: readonly TrafficMatch[];
  readonly mirrors: readonly Mirror[];
  /** Who has been sent to the canary goes there again; set while the weight is neither 0 nor 100. */
  readonly affinity?: Affinity;
}

/** To whom requests are copied besides: the canary, or one of the two copies of an experiment. */
export interface Mirror {
  readonly to: MirrorTarget;
  readonly percent: number;
}

export type MirrorTarget = "canary" | "experiment-baseline" | "experiment-canary";

export interface Affinity {
  readonly cookieName: string;
  /** Another one for each run, so that an old cookie leads nobody anywhere. */
  readonly value: string;
  readonly maxAgeSeconds: number;
}

export const noTraffic: Traffic = { weight: 0, matches: [], mirrors: [] };

/** `name=value; Path=/; Max-Age=3600; HttpOnly`. */
export function setCookieValue({ cookieName, value, maxAgeSeconds }: Affinity): string {
  return `${cookieName}=${value}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly`;
}

/** Which of a rule's backends move, and to what. */
export interface Pairing {
  readonly isStable: (backend: Fields) => boolean;
  readonly isCanary: (backend: Fields) => boolean;
  /** The stable backend as it must be written; itself where the user made it. */
  readonly stableOf: (backend: Fields) => Fields;
  readonly canaryOf: (backend: Fields) => Fields;
  /** Undefined where there is no such copy. */
  readonly mirrorOf: (backend: Fields, to: MirrorTarget) => Fields | undefined;
}

const all = 100;

/**
 * The backends of a rule once `weight` percent of what the stable ones had goes to the canary. Backends that are neither keep their
 * share. `dress` may add to a canary backend.
 */
export function splitBackends(
  backends: readonly Fields[],
  pairing: Pairing,
  weight: number,
  dress: (backend: Fields) => Fields = (backend) => backend,
): Fields[] {
  // With nothing for the canary the rule stays as its user wrote it.
  if (weight === 0 && !backends.some((backend) => pairing.isCanary(backend) && weightOf(backend, backends) > 0)) {
    return backends.map((backend) => (pairing.isStable(backend) ? pairing.stableOf(backend) : backend));
  }
  const kept = backends.filter((backend) => !pairing.isCanary(backend));
  const only = kept.length === 1;
  const parts = kept.flatMap((backend): { backend: Fields; weight: number }[] => {
    const share = only ? 1 : weightOf(backend, kept);
    if (!pairing.isStable(backend)) return [{ backend, weight: share * all }];
    return [
      { backend: pairing.stableOf(backend), weight: share * (all - weight) },
      { backend: dress(pairing.canaryOf(backend)), weight: share * weight },
    ];
  });
  const divisor = parts.every((part) => part.weight % all === 0) && !only ? all : 1;
  return parts.map((part) => ({ ...part.backend, weight: part.weight / divisor }));
}

/** Only the canaries of the stable backends, in their proportions. */
export function onlyCanaries(backends: readonly Fields[], pairing: Pairing): Fields[] {
  const stable = backends.filter((backend) => pairing.isStable(backend) && !pairing.isCanary(backend));
  return stable.map((backend) => ({
    ...pairing.canaryOf(backend),
    weight: stable.length === 1 ? 1 : weightOf(backend, stable),
  }));
}

/** Without weights all count alike. A VirtualService leaves out 0. */
function weightOf(backend: Fields, among: readonly Fields[]): number {
  const said = among.some((other) => typeof other["weight"] === "number");
  const { weight } = backend;
  return typeof weight === "number" ? weight : said ? 0 : 1;
}

export function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? (value as Fields[]) : [];
}

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}
