import { stringify } from "yaml";
import { userError } from "../../base/index.ts";
import { writtenForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { formatIssuesOf, type UntypedObject } from "../../api/index.ts";
import {
  parseIstioOperator,
  type ComponentSpec,
  type GatewaySpec,
  type IstioOperatorSpec,
} from "../../api/istio/index.ts";
import { chartValuesOf, hasAgent, resolveSpec, withRedirectByAgent, type ChartName } from "../../install/index.ts";

export interface Translation {
  /** A YAML document for each chart, with the helm command that uses it. */
  readonly text: string;
  /** Fields for which the charts have no value. */
  readonly warnings: readonly string[];
}

/** Translates an IstioOperator file into values of charts. Its profile decides which charts are needed. */
export function translateOperator(objects: readonly UntypedObject[], file: string): Translation {
  const [raw, second] = objects;
  if (raw === undefined) throw userError("file-invalid", `${file} contains no IstioOperator`);
  if (second !== undefined)
    throw userError(
      "file-invalid",
      `${file} contains ${objects.length} documents, and the command translates one at a time`,
    );
  const parsed = parseIstioOperator(raw);
  if (parsed.value === undefined) throw userError("install-invalid", formatIssuesOf(file, parsed.errors));
  const { spec } = parsed.value;
  const resolved = resolveSpec({ specs: [spec] });
  if (resolved.value === undefined) throw userError("install-invalid", formatIssuesOf(file, resolved.errors));
  const namespace = spec.namespace ?? "istio-system";
  const uses = chartsOf(spec, resolved.value);
  return {
    text: uses
      .map(
        ({ chart, release, component, values }) =>
          `---\n# helm install ${release} istio/${chart} -n ${component?.namespace ?? namespace} -f <this document>\n${stringify(values, writtenForKubernetes)}`,
      )
      .join(""),
    warnings: uses.flatMap(({ chart, path, left }) =>
      left.map(
        (field) =>
          `${file}: spec.components.${path}.k8s.${field}: the chart ${chart} has no value for this field; patch the rendered objects`,
      ),
    ),
  };
}

interface ChartUse {
  readonly chart: ChartName;
  readonly release: string;
  /** The path of the component, below `spec.components`. */
  readonly path: string;
  readonly component: ComponentSpec | undefined;
  readonly values: Readonly<Record<string, unknown>>;
  readonly left: readonly string[];
}

/** The charts to install. All except the gateway chart know the profiles by name. */
function chartsOf(spec: IstioOperatorSpec, resolved: IstioOperatorSpec): ChartUse[] {
  const { components = {} } = resolved;
  // The chart of istiod does not know whether the chart of the agent is installed.
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
