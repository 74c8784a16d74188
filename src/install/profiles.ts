import type { IstioOperatorSpec } from "../api/istio/index.ts";

/** The profiles of `install --set profile=…`, as what they add to the spec. A file's fields win over its profile's. */
const on = { enabled: true } as const;
const off = { enabled: false } as const;

const ingressGateway = (enabled: boolean) => [{ name: "istio-ingressgateway", enabled }];
const egressGateway = (enabled: boolean) => [{ name: "istio-egressgateway", enabled }];

const defaultProfile: IstioOperatorSpec = {
  components: { base: on, pilot: on, cni: off, ztunnel: off, ingressGateways: ingressGateway(true), egressGateways: egressGateway(false) },
};

export const profiles: Readonly<Record<string, IstioOperatorSpec>> = {
  default: defaultProfile,
  demo: {
    ...defaultProfile,
    components: { ...defaultProfile.components, egressGateways: egressGateway(true) },
    meshConfig: { accessLogFile: "/dev/stdout" },
  },
  minimal: { components: { ...defaultProfile.components, ingressGateways: ingressGateway(false) } },
  /** With an ingress gateway, as the profile had in 2022 and 2023; today's upstream has none: set components.ingressGateways[0].enabled=false. */
  ambient: {
    components: { base: on, pilot: on, cni: on, ztunnel: on, ingressGateways: ingressGateway(true), egressGateways: egressGateway(false) },
    meshConfig: { defaultConfig: { proxyMetadata: { ISTIO_META_ENABLE_HBONE: "true" } } },
    values: { pilot: { env: { PILOT_ENABLE_AMBIENT: "true" } } },
  },
  empty: {
    components: { base: off, pilot: off, cni: off, ztunnel: off, ingressGateways: ingressGateway(false), egressGateways: egressGateway(false) },
  },
};

export const defaultProfileName = "default";
