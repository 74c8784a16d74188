import type { Case } from "../bench.ts";
import { bookinfoCase } from "./bookinfo.ts";
import { disturbedCanaryCase, disturbedUpgradeCase } from "./disturbed-rollouts.ts";
import { drainCase, removeNodeCase } from "./drain.ts";
import { apiServerCase, killCases, rebootCase, runtimesCase } from "./faults.ts";
import { guideCase } from "./guide.ts";
import { helm3Case, helm4Case } from "./helm.ts";
import { installCase } from "./install.ts";
import { canaryCase, sidecarCase, waypointCase } from "./layer7.ts";
import { absentImageCase, meshUpgradeCase } from "./mesh-upgrade.ts";
import { portsCase } from "./ports.ts";
import { podSecurityCase, probesCase, strictCase } from "./policies.ts";
import { refusalCases } from "./refusals.ts";
import { agentsAwayCase, agentsRolloutCase, restartsCase } from "./restarts.ts";
import { rightsCase } from "./rights.ts";
import { seedCases } from "./seeds.ts";
import { strictClusterCases } from "./strict-clusters.ts";
import { uninstallCase } from "./uninstall.ts";
import { wireCase } from "./wire.ts";
import { churnCase, hostNetworkCase, jobsCase, statefulSetCase } from "./workloads.ts";

/** In the order in which they run. */
export const allCases: readonly Case[] = [
  installCase,
  portsCase,
  bookinfoCase,
  rightsCase,
  wireCase,
  strictCase,
  probesCase,
  waypointCase,
  podSecurityCase,
  sidecarCase,
  canaryCase,
  meshUpgradeCase,
  absentImageCase,
  jobsCase,
  statefulSetCase,
  hostNetworkCase,
  restartsCase,
  agentsAwayCase,
  agentsRolloutCase,
  ...killCases,
  runtimesCase,
  apiServerCase,
  drainCase,
  disturbedCanaryCase,
  disturbedUpgradeCase,
  churnCase,
  rebootCase,
  removeNodeCase,
  uninstallCase,
  helm3Case,
  helm4Case,
  ...refusalCases,
  ...strictClusterCases,
  guideCase,
  // These come last, because they remove bookinfo, which the cases above use.
  ...seedCases,
];
