import type { LadderProxy, LadderRevision, LadderRung } from "../../../api/dashboard/index.ts";

export type RungState =
  | "blocked"
  /** It moves as soon as a person lets it. */
  | "waiting"
  | "moving"
  /** Its labels select another revision than that of its pods, and no upgrade moves it there. */
  | "behind"
  /** It is on the revision that it should have. */
  | "there"
  /** It is not in the mesh. */
  | "outside";

export function rungState({ kind, at, goingTo, blockedBy, waitsFor, wanted }: LadderRung): RungState {
  if (blockedBy.length > 0) return "blocked";
  if (waitsFor.length > 0) return "waiting";
  if (goingTo !== "") return "moving";
  const somewhere = Object.values(at).some((share) => share > 0);
  if (kind === "namespace" && somewhere && wanted !== "" && (at[wanted] ?? 0) < 1) return "behind";
  return wanted === "" && !somewhere ? "outside" : "there";
}

const kindOrder: readonly LadderRung["kind"][] = [
  "control plane",
  "cni",
  "ztunnel",
  "gateway",
  "waypoint",
  "namespace",
];

export interface RungGroup {
  readonly kind: LadderRung["kind"];
  readonly rungs: readonly (readonly [key: string, rung: LadderRung])[];
}

/** Groups rungs by kind, in the order in which an upgrade moves them. Sorts each group by name. */
export function groupRungs(rungs: Readonly<Record<string, LadderRung>>): readonly RungGroup[] {
  const names = new Intl.Collator("en", { numeric: true });
  return kindOrder
    .map((kind) => ({
      kind,
      rungs: Object.entries(rungs)
        .filter(([, rung]) => rung.kind === kind)
        .sort(([, a], [, b]) => names.compare(`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`)),
    }))
    .filter((group) => group.rungs.length > 0);
}

/** The columns: first the installed revisions, the oldest version first, then those that only components have. */
export function ladderColumns(
  revisions: Readonly<Record<string, LadderRevision>>,
  rungs: Readonly<Record<string, LadderRung>>,
): readonly string[] {
  const versions = new Intl.Collator("en", { numeric: true });
  const known = Object.values(revisions)
    .sort((a, b) => versions.compare(a.version, b.version) || versions.compare(a.name, b.name))
    .map(({ name }) => name);
  const named = new Set<string>();
  for (const { at, wanted, goingTo } of Object.values(rungs)) {
    for (const [name, share] of Object.entries(at)) if (share > 0) named.add(name);
    if (wanted !== "") named.add(wanted);
    if (goingTo !== "") named.add(goingTo);
  }
  return [...known, ...[...named].filter((name) => !known.includes(name)).sort(versions.compare)];
}

export interface Rejection {
  readonly reason: string;
  readonly proxies: readonly LadderProxy[];
}

/** Groups the proxies that reject something by the reason. The most frequent is first. */
export function rejections(proxies: Readonly<Record<string, LadderProxy>>): readonly Rejection[] {
  const byReason = new Map<string, LadderProxy[]>();
  for (const proxy of Object.values(proxies)) {
    if (proxy.state !== "rejected") continue;
    const same = byReason.get(proxy.reason) ?? [];
    same.push(proxy);
    byReason.set(proxy.reason, same);
  }
  return [...byReason]
    .map(([reason, same]) => ({ reason, proxies: same }))
    .sort((a, b) => b.proxies.length - a.proxies.length || a.reason.localeCompare(b.reason));
}

/**
 * What screen readers say about a rung: `20 pods, 50 % on 1-31-0 and 50 % on 1-31-1, moving to 1-31-1, blocked by …`
 */
export function rungSentence({ at, pods, goingTo, blockedBy, waitsFor }: LadderRung): string {
  const parts = Object.entries(at)
    .filter(([, share]) => share > 0)
    .map(
      ([revision, share]) =>
        `${Math.round(share * 100)} % on ${revision}${pods[revision] === undefined ? "" : ` (${pods[revision]} ${pods[revision] === 1 ? "pod" : "pods"})`}`,
    );
  return [
    parts.length === 0 ? "on no revision" : parts.join(" and "),
    ...(goingTo === "" ? [] : [`moving to ${goingTo}`]),
    ...(blockedBy.length === 0 ? [] : [`blocked by ${blockedBy.join("; ")}`]),
    ...waitsFor,
  ].join(", ");
}
