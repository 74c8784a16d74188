import { formatLabelSelector } from "../../../api/index.ts";
import type { CanaryStep, TrafficMatch } from "../../../api/serin/index.ts";

/** Describes a step for people, such as `weight 90/10`, or `requests with header traffic: test to the canary`. */
export function stepTitle(step: CanaryStep): string {
  if (step.name !== undefined) return step.name;
  const { weight, match, mirror, scale, preview, experiment, iterations, pause } = step;
  const parts = [
    ...(preview === true ? ["all canary pods, reached only by the preview Service"] : []),
    ...(experiment === undefined ? [] : [experimentTitle(experiment)]),
    ...(match === undefined ? [] : [`requests with ${matchTitle(match)} to the canary`]),
    ...(weight === undefined ? [] : [`weight ${100 - weight}/${weight}`]),
    ...(mirror === undefined ? [] : [`${mirror.percent} % of requests copied to the canary`]),
    ...(scale === undefined ? [] : [scaleTitle(scale)]),
    ...(iterations === undefined ? [] : [`${iterations.count} iterations`]),
  ];
  if (parts.length > 0) return parts.join(", ");
  if (pause?.untilApproved === true) return "wait for approval";
  return pause === undefined ? "check" : `wait ${pause.durationSeconds ?? 0} s`;
}

function matchTitle({ headers, cookies, queryParams, paths, sourceLabels }: TrafficMatch): string {
  const sign = { Exact: "", Prefix: "prefix ", Regex: "~ " } as const;
  return [
    ...headers.map(({ name, type, value }) => `header ${name}: ${sign[type]}${value}`),
    ...cookies.map(({ name, value }) => `cookie ${name}=${value}`),
    ...queryParams.map(({ name, type, value }) => `query ${name}=${sign[type]}${value}`),
    ...(paths.length === 0 ? [] : [`path ${paths.map(({ type, value }) => `${sign[type]}${value}`).join(" or ")}`]),
    ...(Object.keys(sourceLabels).length === 0
      ? []
      : [`callers labelled ${formatLabelSelector({ matchLabels: sourceLabels })}`]),
  ].join(" and ");
}

function scaleTitle({ replicas, percent, matchWeight }: NonNullable<CanaryStep["scale"]>): string {
  if (matchWeight === true) return "canary pods by weight";
  return replicas === undefined
    ? `canary pods: ${percent ?? 0} % of the Deployment's`
    : `${replicas} canary ${replicas === 1 ? "pod" : "pods"}`;
}

function experimentTitle({ durationSeconds, replicas, mirrorPercent }: NonNullable<CanaryStep["experiment"]>): string {
  const fed = mirrorPercent === 0 ? "without live traffic" : `with ${mirrorPercent} % of requests copied`;
  return `an experiment for ${durationSeconds} s: ${replicas} baseline and ${replicas} canary ${replicas === 1 ? "pod" : "pods"}, ${fed}`;
}
