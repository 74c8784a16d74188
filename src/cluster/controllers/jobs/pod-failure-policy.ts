import type { ContainerStatus, Job, Pod, PodFailurePolicy } from "../../../api/kubernetes/index.ts";

type Rule = PodFailurePolicy["rules"][number];

export interface FailureVerdict {
  /**
   * The action of the first matching rule. Undefined if no rule matches: the failure then counts towards
   * `backoffLimit`.
   */
  readonly action: Rule["action"] | undefined;
  /** The message of the failed Job, if this pod makes it fail. */
  readonly message: string | undefined;
}

export function judgeFailure({ spec }: Job, pod: Pod): FailureVerdict {
  for (const [index, rule] of (spec?.podFailurePolicy?.rules ?? []).entries()) {
    const cause = causeOf(rule, pod);
    if (cause === undefined) continue;
    const message = `${cause} matching ${rule.action} rule at index ${index}`;
    return { action: rule.action, message: rule.action === "FailJob" ? message : undefined };
  }
  return { action: undefined, message: undefined };
}

/**
 * Whether a pod is replaced only when it has failed, and not already while it terminates. A pod failure policy needs
 * this, because it judges how the pod ended.
 */
export function replacesOnlyFailed({ spec }: Job): boolean {
  return spec?.podFailurePolicy !== undefined || spec?.podReplacementPolicy === "Failed";
}

/**
 * Describes the container or condition of the pod that matches the rule. Returns undefined if the rule does not match.
 */
function causeOf({ onExitCodes, onPodConditions = [] }: Rule, { metadata, status }: Pod): string | undefined {
  const pod = `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
  if (onExitCodes !== undefined) {
    const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
    const container = statuses.find((status) => matchesExit(onExitCodes, status));
    if (container === undefined) return undefined;
    return `Container ${container.name} for pod ${pod} failed with exit code ${container.state?.terminated?.exitCode}`;
  }
  const condition = status?.conditions?.find((candidate) =>
    onPodConditions.some(
      (pattern) => candidate.type === pattern.type && candidate.status === (pattern.status ?? "True"),
    ),
  );
  return condition === undefined ? undefined : `Pod ${pod} has condition ${condition.type}`;
}

/**
 * Whether a container's exit matches the rule. Exit code 0 matches no rule, not even a rule that matches all codes
 * except some.
 */
function matchesExit(
  { containerName, operator, values }: NonNullable<Rule["onExitCodes"]>,
  { name, state }: ContainerStatus,
): boolean {
  const exitCode = state?.terminated?.exitCode;
  if (exitCode === undefined || exitCode === 0) return false;
  if (containerName !== undefined && containerName !== name) return false;
  return values.includes(exitCode) === (operator === "In");
}
