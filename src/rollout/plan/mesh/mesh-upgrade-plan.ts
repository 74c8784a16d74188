import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { Step } from "../../decide/index.ts";
import { gatewaySteps } from "./gateway-steps.ts";
import { installSteps, matrixCheck, probeSteps } from "./install-steps.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { retireSteps } from "./retire-steps.ts";
import { sidecarChecks, sidecarStep, strategyWrites } from "./sidecar-steps.ts";
import { tagStep } from "./tag-steps.ts";
import { plannedWaves, type NamespaceInWave, type PlannedWave } from "./waves.ts";
import { pinSteps, ztunnelSteps } from "./ztunnel-steps.ts";

/** The whole way of an upgrade, in order: pin, install, probe, the waves with the gateways after one of them, tags, soak, retire, drain. */
export function planMeshUpgrade(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { spec } = upgrade;
  return [
    ...(spec.scope.ztunnel ? pinSteps(upgrade, world) : []),
    ...installSteps(upgrade, world),
    ...probeSteps(upgrade, world),
    ...waveSteps(upgrade, world),
    ...(spec.scope.tags && world.defaultTag !== undefined ? [tagStep(upgrade, world)] : []),
    ...(spec.soakSeconds > 0 ? [soakStep(upgrade)] : []),
    ...retireSteps(upgrade, world),
  ];
}

function waveSteps(upgrade: MeshUpgrade, world: MeshWorld): Step[] {
  const { scope, gateways } = upgrade.spec;
  const fronts = scope.gateways ? world.gateways.flatMap((gateway) => gatewaySteps(upgrade, gateway)) : [];
  const waves = plannedWaves(upgrade, world);
  const ofWaves = waves.flatMap((wave) => [...stepsOfWave(upgrade, world, wave), ...(wave.number === gateways.afterWave ? fronts : [])]);
  return gateways.afterWave === 0 ? [...fronts, ...ofWaves] : ofWaves;
}

function stepsOfWave(upgrade: MeshUpgrade, world: MeshWorld, planned: PlannedWave): Step[] {
  const { scope } = upgrade.spec;
  const matrix = matrixCheck(upgrade, world);
  const injected = planned.namespaces.filter(({ injection, workloads }) => injection !== undefined || workloads.length > 0);
  const steps = [
    ...(scope.namespaces ? injected.map((namespace) => sidecarStep(upgrade, planned, namespace, matrix)) : []),
    ...(scope.ztunnel ? ztunnelSteps(upgrade, world, planned) : []),
  ];
  return steps.length === 0 ? [] : [...steps, ...endOfWave(upgrade, planned, injected, matrix)];
}

/** What a wave asks for besides: its own soak, pause and approval, and that Deployments update as before. */
function endOfWave(upgrade: MeshUpgrade, { wave, number, namespaces }: PlannedWave, injected: readonly NamespaceInWave[], matrix: ReturnType<typeof matrixCheck>): Step[] {
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
      title: soaks ? `${wave.name}: soak for ${wave.soakSeconds} s` : `${wave.name}: done`,
      writes: restored,
      settle: [],
      checks: soaks && injected.length > 0 ? sidecarChecks(upgrade, wave, names, matrix) : [],
      namespaces: names,
      ordinal: number,
      ...(soaks ? { holdMs: wave.soakSeconds * 1000 } : {}),
      ...(wave.pause === undefined ? {} : { pause }),
    },
  ];
}

function soakStep({ spec }: MeshUpgrade): Step {
  return { id: "soak", title: `soak for ${spec.soakSeconds} s`, writes: [], settle: [], checks: [], holdMs: spec.soakSeconds * 1000 };
}
