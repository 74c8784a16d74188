import type { PlannedWave } from "../options.ts";
import { compareDefinitions, type DefinitionsInput } from "../compare/definitions.ts";
import { definitionFindings, unselectedFindings } from "../findings.ts";
import {
  verdictOf,
  type DefinitionsReport,
  type Finding,
  type TrustReport,
  type Verdict,
  type WorkloadsReport,
} from "../report.ts";
import { checkTrust, type TrustInput } from "./trust.ts";
import { waveOrder } from "./wave-order.ts";
import { surveyWorkloads, type WorkloadFacts } from "./workloads.ts";

/**
 * The facts that an engine inside the cluster knows without the files of a release: plain objects, and the objects that
 * the new revision would install.
 */
export interface ClusterPreflightInput {
  readonly from: string;
  readonly trust: TrustInput;
  readonly workloads: WorkloadFacts;
  /** `after` has the CRDs that the upgrade writes. If it is empty, the CRDs stay as they are. */
  readonly definitions: DefinitionsInput;
  readonly waves: readonly PlannedWave[];
}

export interface ClusterPreflight {
  readonly verdict: Verdict;
  readonly findings: readonly Finding[];
  readonly trust: TrustReport;
  readonly definitions: DefinitionsReport;
  readonly workloads: Omit<WorkloadsReport, "injection">;
}

/**
 * The part of a plan that starts no process: roots, trust domains, CRDs, dependents of the old revision, budgets. Pure.
 */
export function preflightCluster({
  from,
  trust,
  workloads,
  definitions,
  waves,
}: ClusterPreflightInput): ClusterPreflight {
  const trusted = checkTrust(trust);
  const survey = surveyWorkloads(workloads, from);
  const order = waveOrder(
    waves,
    survey.injected.filter(({ isGateway }) => !isGateway),
    workloads.namespaces,
  );
  const changed: DefinitionsReport = {
    installed: definitions.after.length > 0,
    changes: compareDefinitions(definitions),
  };
  const findings = [
    ...trusted.findings,
    ...definitionFindings(changed),
    ...survey.findings,
    ...unselectedFindings(order.left, from),
  ];
  return {
    verdict: verdictOf(findings),
    findings,
    trust: trusted.report,
    definitions: changed,
    workloads: survey.report,
  };
}
