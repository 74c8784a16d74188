import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { PlannedCheck, Step } from "../../decide/index.ts";
import { classicGatewaySteps } from "./classic-gateway-steps.ts";
import { gatewaySteps, pinGatewaySteps } from "./gateway-steps.ts";
import { installSteps, matrixCheck, probeSteps, withProbesReplaced } from "./install-steps.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { cniSteps } from "./cni-steps.ts";
import { withoutLateMoves } from "../overtaken-steps.ts";
import { check, namedChecks } from "./planned-check.ts";
import { preflightSteps } from "./preflight-steps.ts";
import { removeProbes, retireStepId, retireSteps } from "./retire-steps.ts";
import { rootEndSteps, rootSteps } from "./root-steps.ts";
import { splitInjectionSteps } from "./split-injection.ts";
import { sidecarChecks, sidecarStep, strategyWrites } from "./sidecar-steps.ts";
import { tagSteps } from "./tag-steps.ts";
import { plannedWaves, type NamespaceInWave, type PlannedWave } from "./waves.ts";
import { nodeSteps, pinSteps, ztunnelSteps } from "./ztunnel-steps.ts";

/**
 * Plans all steps of an upgrade in order. Preflight checks run first. Then labels pin everything to the old revision,
 * and the new control plane is installed and probed. Then the CNI agents are replaced. The waves follow, with the
 * gateways after one of them, then the tags, the root and a soak. At the end the old revision is removed. If `from` and
 * `to` are the same revision, only the CNI agents and the root change.
 */
export function planMeshUpgrade(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { spec } = upgrade;
  const matrix = world.dataPlanes.length === 0 ? undefined : matrixCheck(upgrade, world);
  const moves = spec.from.revision !== spec.to.revision;
  const steps = [
    ...(moves ? preflightSteps(upgrade, world) : []),
    ...(moves && spec.scope.ztunnel ? pinSteps(upgrade, world) : []),
    ...(moves ? pinGatewaySteps(upgrade, world) : []),
    ...installSteps(upgrade, world),
    ...probeSteps(upgrade, world),
    ...(spec.scope.cni ? cniSteps(upgrade, world, matrix) : []),
    ...(moves ? waveSteps(upgrade, world) : []),
    ...(moves && spec.scope.ztunnel ? nodeSteps(upgrade, world) : []),
    ...(moves ? tagSteps(upgrade, world) : []),
    ...rootSteps(upgrade, world, matrix),
    ...(spec.soakSeconds > 0 ? [soakStep(upgrade, matrix)] : []),
    ...(moves ? retireSteps(upgrade, world) : removeProbes(world)),
    ...rootEndSteps(upgrade, world),
  ];
  return withProbesReplaced(withoutLateMoves(steps, retireStepId, upgrade.status), upgrade, world);
}

function waveSteps(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { gateways } = upgrade.spec;
  const inOrder = world.gateways.toSorted((a, b) => Number(a.waypoint) - Number(b.waypoint));
  const matrix = world.dataPlanes.length === 0 ? [] : [matrixCheck(upgrade, world)];
  const fronts = [
    ...world.classicGateways.flatMap((gateway) => classicGatewaySteps(upgrade, gateway, matrix)),
    ...inOrder.flatMap((gateway) => gatewaySteps(upgrade, gateway, matrix)),
  ];
  const waves = plannedWaves(upgrade, world);
  const ofWaves = waves.flatMap((wave) => [
    ...stepsOfWave(upgrade, world, wave),
    ...(wave.number === gateways.afterWave ? fronts : []),
  ]);
  const split = splitInjectionSteps(upgrade, world, waves);
  return gateways.afterWave === 0 ? [...fronts, ...split, ...ofWaves] : [...split, ...ofWaves];
}

function stepsOfWave(upgrade: MeshUpgrade, world: MeshWorld, planned: PlannedWave): Step[] {
  const { scope } = upgrade.spec;
  const matrix = matrixCheck(upgrade, world, planned.wave);
  const injected = planned.namespaces.filter(
    ({ injection, workloads }) => injection !== undefined || workloads.length > 0,
  );
  const steps = [
    ...(scope.namespaces ? injected.map((namespace) => sidecarStep(upgrade, planned, namespace, matrix)) : []),
    ...(scope.ztunnel ? ztunnelSteps(upgrade, world, planned) : []),
  ];
  // An empty wave needs its approval too, because its namespace may be misspelt or may have lost its label.
  const isGate = planned.wave.pause?.untilApproved === true;
  return steps.length === 0 && !isGate ? [] : [...steps, ...endOfWave(upgrade, planned, injected, matrix)];
}

/**
 * Ends a wave with its soak, pause and approval, and restores the update strategy of Deployments after the mode
 * ScaleFirst.
 */
function endOfWave(
  upgrade: MeshUpgrade,
  { wave, number, namespaces }: PlannedWave,
  injected: readonly NamespaceInWave[],
  matrix: ReturnType<typeof matrixCheck>,
): Step[] {
  const restored = wave.mode === "ScaleFirst" ? injected.flatMap(strategyWrites) : [];
  if (wave.soakSeconds === 0 && wave.pause === undefined && restored.length === 0) return [];
  const id = `${wave.name}/end`;
  const { durationSeconds, untilApproved } = wave.pause ?? {};
  const pause = {
    ...(durationSeconds === undefined ? {} : { durationMs: durationSeconds * 1000 }),
    ...(untilApproved === true ? { approved: upgrade.spec.approvals.some(({ step }) => step === id) } : {}),
  };
  const soaks = wave.soakSeconds > 0;
  const names = namespaces.map(({ name }) => name);
  return [
    {
      id,
      title: `${wave.name}: ${soaks ? `soak for ${wave.soakSeconds} s` : namespaces.length === 0 ? "nothing to move" : "done"}`,
      writes: restored,
      settle: [],
      checks:
        soaks && injected.some(({ workloads }) => workloads.length > 0)
          ? sidecarChecks(upgrade, wave, names, matrix)
          : [],
      namespaces: names,
      ordinal: number,
      ...(soaks ? { holdMs: wave.soakSeconds * 1000 } : {}),
      ...(wave.pause === undefined ? {} : { pause }),
    },
  ];
}

/** Judges the whole upgraded mesh for the soak time. A person may end the soak early by approving it. */
function soakStep(upgrade: MeshUpgrade, matrix: PlannedCheck | undefined): Step {
  const { from, to, soakSeconds, approvals } = upgrade.spec;
  const planned = [
    ...(matrix === undefined ? [] : [matrix]),
    check(upgrade, "xds-nacks", { type: "proxies", revision: to.revision }),
  ];
  const ended = approvals.some(({ step }) => step === "soak");
  return {
    id: "soak",
    title: `soak for ${soakSeconds} s`,
    writes: [],
    settle: [],
    checks: namedChecks(upgrade, planned, {
      type: "revisions",
      canary: to.revision,
      stable: from.revision,
      namespaces: [],
    }),
    ...(ended ? {} : { holdMs: soakSeconds * 1000 }),
  };
}
