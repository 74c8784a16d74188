import { stringify } from "yaml";
import { userError } from "../base/index.ts";
import { formatIssues, type UntypedObject } from "../api/index.ts";
import { parseIstioOperator, type ComponentSpec, type IstioOperatorSpec } from "../api/istio/index.ts";
import { chartValuesOf } from "../install/index.ts";

/** An IstioOperator file as values of the charts: a YAML document a chart, and the helm line that takes it. */
export function translateOperator(objects: readonly UntypedObject[], file: string): string {
  const [raw] = objects;
  if (raw === undefined) throw userError("file-empty", `${file} holds no IstioOperator`);
  const parsed = parseIstioOperator(raw);
  if (parsed.value === undefined) throw userError("install-invalid", `${file}: ${formatIssues(parsed.errors)}`);
  const { spec } = parsed.value;
  const namespace = spec.namespace ?? "istio-system";
  return chartsOf(spec)
    .map(({ chart, release, component, values }) => {
      const line = `# helm install ${release} istio/${chart} -n ${component?.namespace ?? namespace} -f <this document>`;
      return `---\n${line}\n${stringify(values, { aliasDuplicateObjects: false })}`;
    })
    .join("");
}

interface ChartUse {
  readonly chart: string;
  readonly release: string;
  readonly component: ComponentSpec | undefined;
  readonly values: Readonly<Record<string, unknown>>;
}

function chartsOf(spec: IstioOperatorSpec): ChartUse[] {
  const { components = {} } = spec;
  const one = (chart: "base" | "istiod" | "cni" | "ztunnel", release: string, component: ComponentSpec | undefined, enabledByDefault: boolean): ChartUse[] =>
    (component?.enabled ?? enabledByDefault) ? [{ chart, release, component, values: chartValuesOf(spec, chart) }] : [];
  const isAmbient = spec.profile === "ambient";
  const byDefault = spec.profile !== "empty";
  return [
    ...one("base", "istio-base", components.base, byDefault),
    ...one("istiod", "istiod", components.pilot, byDefault),
    ...one("cni", "istio-cni", components.cni, isAmbient),
    ...one("ztunnel", "ztunnel", components.ztunnel, isAmbient),
    ...[...(components.ingressGateways ?? []), ...(components.egressGateways ?? [])]
      .filter(({ enabled }) => enabled !== false)
      .map((gateway) => ({ chart: "gateway", release: gateway.name, component: gateway, values: chartValuesOf(spec, "gateway", gateway) })),
  ];
}
