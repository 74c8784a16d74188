import { jsonEqual } from "../../base/index.ts";
import type { FieldChange, Json } from "../tree-diff.ts";

interface ServerDefault {
  readonly path: RegExp;
  /** The values that count as a default. If absent, every value does. */
  readonly values?: readonly Json[];
}

/** Fields to which the API server gives default values. Live objects contain them, and rendered objects do not. */
const defaults: readonly ServerDefault[] = [
  { path: /\.rules\[[^\]]*\]\.scope$|^rules\[[^\]]*\]\.scope$/, values: ["*"] },
  { path: /(fieldRef|resourceFieldRef)\.apiVersion$/, values: ["v1"] },
  { path: /^spec\.ports\[[^\]]*\]\.targetPort$/ },
  { path: /^spec\.ports\[[^\]]*\]\.nodePort$/ },
  { path: /\.protocol$/, values: ["TCP"] },
  {
    path: /\.(terminationMessagePath|terminationMessagePolicy|imagePullPolicy|dnsPolicy|schedulerName|restartPolicy|terminationGracePeriodSeconds)$/,
  },
  { path: /\.(revisionHistoryLimit|progressDeadlineSeconds|podManagementPolicy)$/ },
  {
    path: /Probe\.(timeoutSeconds|periodSeconds|successThreshold|failureThreshold|initialDelaySeconds)$/,
    values: [0, 1, 3, 10],
  },
  { path: /\.httpGet\.scheme$/, values: ["HTTP"] },
  { path: /\.(defaultMode)$/, values: [420] },
  { path: /\.securityContext$/, values: [{}] },
  { path: /\.serviceAccount$/ },
  {
    path: /^spec\.(clusterIP|clusterIPs|ipFamilies|ipFamilyPolicy|sessionAffinity|internalTrafficPolicy|externalTrafficPolicy|allocateLoadBalancerNodePorts|healthCheckNodePort)$/,
  },
  {
    path: /^webhooks\[[^\]]*\]\.(matchPolicy|timeoutSeconds|reinvocationPolicy|objectSelector|namespaceSelector|failurePolicy)$/,
  },
  { path: /^secrets$/ },
  { path: /^metadata\.annotations\["deployment\.kubernetes\.io\/revision"\]$/ },
  { path: /^metadata\.annotations\["kubectl\.kubernetes\.io\/last-applied-configuration"\]$/ },
];

/**
 * Whether to show the change of a field. Hides a default that only the live object has, because the API server added
 * it.
 */
export function isWanted({ path, before, after }: FieldChange): boolean {
  if (after !== undefined) return true;
  return !defaults.some(
    ({ path: pattern, values }) =>
      pattern.test(path) && (values === undefined || values.some((value) => jsonEqual(value, before))),
  );
}
