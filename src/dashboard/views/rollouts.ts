import type { FreezeRow, RolloutRow, RolloutsView } from "../../api/dashboard/index.ts";
import { messageOf, stringOf } from "../../base/index.ts";
import { windowState, type WindowState } from "../../api/serin/freeze-windows/index.ts";
import {
  canaryKind,
  readFreeze,
  unreadableFreeze,
  type Canary,
  type CanaryTarget,
  type Freeze,
  type FreezeRead,
  type FreezeWindow,
  type MeshUpgrade,
} from "../../api/serin/index.ts";
import { timeMs } from "./mesh-objects.ts";
import { isVisible, type ViewInput, type VisibleNamespaces } from "./view-input.ts";

/**
 * All rollouts that the reader may see. If the reader may not list MeshUpgrades or freezes, the inventory does not have
 * them.
 */
export function rolloutsView({ atMs, sources, inventory }: ViewInput, visible: VisibleNamespaces): RolloutsView {
  const { canaries, upgrades, freezes } = inventory.objects;
  const rollouts = [
    ...canaries.filter(({ metadata }) => isVisible(visible, metadata.namespace ?? "")),
    ...upgrades,
  ].map((rollout) => [rolloutKey(rollout), rolloutRow(rollout)] as const);
  return {
    head: { atMs, sources },
    tables: {
      rollouts: Object.fromEntries(rollouts),
      freezes: Object.fromEntries(freezes.map((freeze) => [freeze.metadata.name ?? "", freezeRow(freeze, atMs)])),
    },
  };
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
    ...(status?.pauseReason === undefined ? {} : { pauseReason: status.pauseReason }),
    waitsForPerson: status?.phase === "Paused" || status?.phase === "Stuck" || status?.pauseReason === "group-failed",
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
  if ("virtualService" in target)
    return `VirtualService ${target.virtualService.namespace ?? home}/${target.virtualService.name}`;
  if ("deployment" in target) return `Deployment ${home}/${target.deployment.name}`;
  if ("services" in target) return `Service ${home}/${target.services.service}`;
  return `${target.namespaces.stable} -> ${target.namespaces.canary}`;
}

/**
 * The state of each window, with the time from which it is valid. It is cached, because recurrence rules are slow to
 * evaluate.
 */
const known = new WeakMap<FreezeWindow, WindowState & { readonly fromMs: number }>();

function stateOf(window: FreezeWindow, timeZone: string, nowMs: number): WindowState {
  const kept = known.get(window);
  if (kept !== undefined && kept.fromMs <= nowMs && nowMs < kept.untilMs) return kept;
  const state = { ...windowState(window, timeZone, nowMs), fromMs: nowMs };
  known.set(window, state);
  return state;
}

/** Windows that begin later than in a year are not shown. */
const farMs = 365 * 86_400_000;

const reads = new WeakMap<Freeze, FreezeRead>();

function readOf(stored: Freeze): FreezeRead {
  const read = reads.get(stored) ?? readFreeze(stored);
  reads.set(stored, read);
  return read;
}

/**
 * The row of a freeze. As in the engine, one that cannot be read is active, so that nothing changes at a time at which
 * it might be forbidden.
 */
function freezeRow(stored: Freeze, atMs: number): FreezeRow {
  const read = readOf(stored);
  const name = stored.metadata.name ?? "";
  const unreadable = (reason: string, fault: string): FreezeRow => ({
    name,
    reason: [reason, unreadableFreeze(name, fault)].filter((text) => text !== "").join(": "),
    active: true,
  });
  if ("fault" in read) return unreadable(reasonOf(stored), read.fault);
  const { reason, timeZone, windows } = read.freeze.spec;
  try {
    const states = windows.map((window) => stateOf(window, timeZone, atMs));
    const holding = states.filter(({ holds }) => holds);
    const next = states
      .filter(({ holds, untilMs }) => !holds && untilMs < atMs + farMs)
      .map(({ untilMs }) => untilMs)
      .sort((a, b) => a - b)[0];
    return {
      name,
      reason,
      active: holding.length > 0,
      ...(holding.length === 0 ? {} : { endsAtMs: Math.max(...holding.map(({ untilMs }) => untilMs)) }),
      ...(next === undefined ? {} : { nextAtMs: next }),
    };
  } catch (error) {
    return unreadable(reason, messageOf(error));
  }
}

function reasonOf({ spec }: Freeze): string {
  const { reason } = (spec ?? {}) as { readonly reason?: unknown };
  return stringOf(reason);
}
