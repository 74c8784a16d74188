import type { FreezeRow, RolloutRow, RolloutsView } from "../../api/dashboard/index.ts";
import { canaryKind, type Canary, type CanaryTarget, type Freeze, type MeshUpgrade } from "../../api/serin/index.ts";
import { timeMs } from "./mesh-objects.ts";
import { isVisible, type ViewInput, type VisibleNamespaces } from "./view-input.ts";

/** All rollouts that the reader may see. MeshUpgrades and freezes concern everybody. */
export function rolloutsView({ atMs, sources, inventory }: ViewInput, visible: VisibleNamespaces): RolloutsView {
  const { canaries, upgrades, freezes } = inventory.objects;
  const rollouts = [...canaries.filter(({ metadata }) => isVisible(visible, metadata.namespace ?? "")), ...upgrades].map((rollout) => [rolloutKey(rollout), rolloutRow(rollout)] as const);
  return { head: { atMs, sources }, tables: { rollouts: Object.fromEntries(rollouts), freezes: Object.fromEntries(freezes.map((freeze) => [freeze.metadata.name ?? "", freezeRow(freeze, atMs)])) } };
}

export type Rollout = Canary | MeshUpgrade;

export function isUpgrade(rollout: Rollout): rollout is MeshUpgrade {
  return rollout.kind === "MeshUpgrade";
}

export function rolloutKey(rollout: Rollout): string {
  const { namespace = "", name = "" } = rollout.metadata;
  return isUpgrade(rollout) ? `MeshUpgrade ${name}` : `Canary ${namespace}/${name}`;
}

export function rolloutRow(rollout: Rollout): RolloutRow {
  const { status, metadata } = rollout;
  const startedAtMs = timeMs(status?.startedAt);
  const endedAtMs = timeMs(status?.endedAt);
  return {
    kind: isUpgrade(rollout) ? "MeshUpgrade" : "Canary",
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
    phase: status?.phase ?? "",
    progress: status?.progress ?? "",
    message: status?.message ?? "",
    cause: status?.cause ?? "",
    target: targetText(rollout),
    step: status?.step?.title ?? "",
    ...(status?.weight === undefined ? {} : { weight: status.weight }),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(endedAtMs === undefined ? {} : { endedAtMs }),
    waitsForPerson: status?.phase === "Paused" || status?.phase === "Stuck",
  };
}

function targetText(rollout: Rollout): string {
  if (isUpgrade(rollout)) return `${rollout.spec.from?.revision ?? ""} -> ${rollout.spec.to?.revision ?? ""}`;
  const home = rollout.metadata.namespace ?? "";
  const target = canaryKind.parse?.(rollout).value?.spec.target;
  return target === undefined ? "" : canaryTargetText(target, home);
}

function canaryTargetText(target: CanaryTarget, home: string): string {
  if ("httpRoute" in target) return `HTTPRoute ${target.httpRoute.namespace ?? home}/${target.httpRoute.name}`;
  if ("grpcRoute" in target) return `GRPCRoute ${target.grpcRoute.namespace ?? home}/${target.grpcRoute.name}`;
  if ("virtualService" in target) return `VirtualService ${target.virtualService.namespace ?? home}/${target.virtualService.name}`;
  if ("deployment" in target) return `Deployment ${home}/${target.deployment.name}`;
  if ("services" in target) return `Service ${home}/${target.services.service}`;
  return `${target.namespaces.stable} -> ${target.namespaces.canary}`;
}

function freezeRow({ metadata, spec }: Freeze, atMs: number): FreezeRow {
  const windows = (spec.windows ?? []).map(({ start, end }) => ({ startMs: timeMs(withZone(start)) ?? 0, endMs: timeMs(withZone(end ?? start)) ?? 0 }));
  const active = windows.filter(({ startMs, endMs }) => startMs <= atMs && atMs < endMs);
  const next = windows.map(({ startMs }) => startMs).filter((startMs) => startMs > atMs).sort((a, b) => a - b)[0];
  const endsAtMs = active.length === 0 ? undefined : Math.max(...active.map(({ endMs }) => endMs));
  return { name: metadata.name ?? "", reason: spec.reason ?? "", active: active.length > 0, ...(endsAtMs === undefined ? {} : { endsAtMs }), ...(next === undefined ? {} : { nextAtMs: next }) };
}

function withZone(time: string): string {
  return /(Z|[+-]\d{2}:\d{2})$/.test(time) ? time : `${time}Z`;
}
