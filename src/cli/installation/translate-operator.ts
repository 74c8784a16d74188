import { stringify } from "yaml";
import { userError } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { formatIssues } from "../../api/index.ts";
import type { ComponentSpec, GatewaySpec, IstioOperatorSpec } from "../../api/istio/index.ts";
import {
  chartValuesOf,
  givenSpec,
  hasAgent,
  resolveSpec,
  withRedirectByAgent,
  type ChartName,
} from "../../install/index.ts";

export interface ChartRelease {
  readonly chart: ChartName;
  readonly release: string;
  readonly namespace: string;
  readonly values: string;
}

export interface Translation {
  readonly releases: readonly ChartRelease[];
  /** Fields for which the charts have no value. */
  readonly warnings: readonly string[];
}

/** Translates specs and flags into values of charts. The profile that they name decides which charts are needed. */
export function translateOperator(specs: readonly IstioOperatorSpec[], setFlags: readonly string[]): Translation {
  const given = givenSpec({ specs, setFlags });
  if (given.value === undefined) throw userError("install-invalid", formatIssues(given.errors));
  const spec = given.value;
  const resolved = resolveSpec({ specs: [spec] });
  if (resolved.value === undefined) throw userError("install-invalid", formatIssues(resolved.errors));
  const namespace = spec.namespace ?? "istio-system";
  const uses = chartsOf(spec, resolved.value);
  return {
    releases: uses.map(({ chart, release, component, values }) => ({
      chart,
      release,
      namespace: component?.namespace ?? namespace,
      values: stringify(values, writtenForKubernetes),
    })),
    warnings: uses.flatMap(({ chart, path, left }) =>
      left.map(
        (field) =>
          `spec.components.${path}.k8s.${field}: the chart ${chart} has no value for this field; patch the rendered objects`,
      ),
    ),
  };
}

interface ChartUse {
  readonly chart: ChartName;
  readonly release: string;
  /** Relative to `spec.components`. */
  readonly path: string;
  readonly component: ComponentSpec | undefined;
  readonly values: Readonly<Record<string, unknown>>;
  readonly left: readonly string[];
}

/** The charts to install. All except the gateway chart know the profiles by name. */
function chartsOf(spec: IstioOperatorSpec, resolved: IstioOperatorSpec): ChartUse[] {
  const { components = {} } = resolved;
  // The chart of istiod cannot see whether the chart of the agent is installed, so its values say it.
  const stated = hasAgent(resolved) ? withRedirectByAgent(spec) : spec;
  const chartFor = (
    chart: "base" | "istiod" | "cni" | "ztunnel",
    release: string,
    path: "base" | "pilot" | "cni" | "ztunnel",
  ): ChartUse[] =>
    components[path]?.enabled === true
      ? [
          {
            chart,
            release,
            path,
            component: components[path],
            ...chartValuesOf(chart === "istiod" ? stated : spec, chart),
          },
        ]
      : [];
  const gateways = (path: "ingressGateways" | "egressGateways"): ChartUse[] =>
    (components[path] ?? [])
      .map((gateway: GatewaySpec, index) => ({
        chart: "gateway" as const,
        release: gateway.name,
        path: `${path}[${index}]`,
        component: gateway,
        ...chartValuesOf(resolved, "gateway", gateway),
      }))
      .filter(({ component }) => component.enabled === true);
  return [
    ...chartFor("base", "istio-base", "base"),
    ...chartFor("istiod", "istiod", "pilot"),
    ...chartFor("cni", "istio-cni", "cni"),
    ...chartFor("ztunnel", "ztunnel", "ztunnel"),
    ...gateways("ingressGateways"),
    ...gateways("egressGateways"),
  ];
}
