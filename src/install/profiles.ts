import type { IstioOperatorSpec } from "../api/istio/index.ts";
import { mergeTrees } from "./merge.ts";

const on = { enabled: true } as const;
const off = { enabled: false } as const;

const ingressGateway = (enabled: boolean) => [{ name: "istio-ingressgateway", enabled }];
const egressGateway = (enabled: boolean) => [{ name: "istio-egressgateway", enabled }];

const defaultProfile: IstioOperatorSpec = {
  components: {
    base: on,
    pilot: on,
    cni: off,
    ztunnel: off,
    ingressGateways: ingressGateway(true),
    egressGateways: egressGateway(false),
  },
};

function over(spec: IstioOperatorSpec): IstioOperatorSpec {
  return mergeTrees(defaultProfile, spec) as IstioOperatorSpec;
}

const small = { resources: { requests: { cpu: "10m", memory: "96Mi" } } } as const;
const otelCollector = { service: "opentelemetry-collector.observability.svc.cluster.local", port: 4317 } as const;

const demo = over({
  components: { egressGateways: egressGateway(true) },
  meshConfig: {
    accessLogFile: "/dev/stdout",
    extensionProviders: [
      { name: "otel", envoyOtelAls: otelCollector },
      { name: "skywalking", skywalking: { service: "tracing.istio-system.svc.cluster.local", port: 11_800 } },
      { name: "otel-tracing", opentelemetry: otelCollector },
      { name: "jaeger", opentelemetry: { service: "jaeger-collector.istio-system.svc.cluster.local", port: 4317 } },
    ],
  },
  values: {
    global: { proxy: small, waypoint: small },
    cni: small,
    ztunnel: small,
    pilot: { autoscaleEnabled: false, traceSampling: 100, resources: { requests: { cpu: "10m", memory: "128Mi" } } },
    gateways: {
      "istio-egressgateway": { autoscaleEnabled: false, ...small },
      "istio-ingressgateway": {
        autoscaleEnabled: false,
        ...small,
        ports: [
          { port: 15_021, targetPort: 15_021, name: "status-port" },
          { port: 80, targetPort: 8080, name: "http2" },
          { port: 443, targetPort: 8443, name: "https" },
          { port: 31_400, targetPort: 31_400, name: "tcp" },
          { port: 15_443, targetPort: 15_443, name: "tls" },
        ],
      },
    },
  },
});

/** The specs of the profiles of `install --set profile=…`. The user's spec overrides them. */
export const profiles: Readonly<Record<string, IstioOperatorSpec>> = {
  /**
   * Every node of an ambient mesh has a CNI agent, maybe that of another revision, so sidecars also use its redirect.
   * The profile includes an ingress gateway, as Istio's did in 2022 and 2023. Istio's current profile does not. To omit
   * the gateway, set components.ingressGateways[0].enabled=false.
   */
  ambient: over({
    components: { cni: on, ztunnel: on },
    meshConfig: {
      defaultConfig: { proxyMetadata: { ISTIO_META_ENABLE_HBONE: "true" } },
      // In an ambient mesh with several networks, Services with this label span all clusters.
      serviceScopeConfigs: [
        {
          servicesSelector: { matchExpressions: [{ key: "istio.io/global", operator: "In", values: ["true"] }] },
          scope: "GLOBAL",
        },
      ],
    },
    values: {
      pilot: { env: { PILOT_ENABLE_AMBIENT: "true" }, cni: { enabled: true } },
      cni: { ambient: { enabled: true } },
    },
  }),
  default: defaultProfile,
  demo,
  empty: over({ components: { base: off, pilot: off, ingressGateways: ingressGateway(false) } }),
  minimal: over({ components: { ingressGateways: ingressGateway(false) } }),
  preview: over({ meshConfig: { defaultConfig: { proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" } } } }),
  /**
   * The profile of a cluster that uses a control plane in another cluster. It installs accounts, roles and webhooks. It
   * needs that control plane's address in `values.global.remotePilotAddress`.
   */
  remote: over({
    components: { ingressGateways: ingressGateway(false) },
    values: {
      istiodRemote: { enabled: true },
      pilot: { configMap: false },
      telemetry: { enabled: false },
      global: { omitSidecarInjectorConfigMap: true },
    },
  }),
  stable: over({ values: { experimental: { stableValidationPolicy: true } } }),
};

export const defaultProfileName = "default";
