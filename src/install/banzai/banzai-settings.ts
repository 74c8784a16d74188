import { definedFields, invariant, type Tree } from "../../base/index.ts";
import { hubFault, imageTag, tagFault, withoutDigest } from "../../api/images/index.ts";
import { resourceSuffixOf, revisionLabelOf, type BanzaiIstio, type BanzaiIstioSpec } from "../../api/banzai/index.ts";
import { resolveSettings, type InstallSettings } from "../settings.ts";

export interface ReleaseImages {
  readonly hub: string;
  readonly tag: string;
}

export function banzaiSettings(istio: BanzaiIstio, release: ReleaseImages): InstallSettings {
  const { spec, metadata } = istio;
  const namespace = metadata.namespace ?? "";
  const images = imagesOf(spec, release);
  // Replace a hub or tag that no container runtime accepts, so that the settings are valid. The container images keep
  // the given names, so that the kubelet reports the fault.
  const named = { hub: withoutDigest(images.proxy).replace(/\/?[^/]*$/, ""), tag: imageTag(images.pilot) };
  const hub = hubFault(named.hub) === undefined ? named.hub : release.hub;
  const tag = tagFault(named.tag) === undefined ? named.tag : release.tag;
  const values = valuesOf(spec, images);
  const parsed = resolveSettings(
    { specs: [{ profile: "minimal", namespace, meshConfig: meshConfigOf(spec, namespace), values }] },
    { hub, tag },
  );
  invariant(
    parsed.value !== undefined,
    `an Istio object that was checked must have valid settings: ${parsed.errors.map(({ path, message }) => `${path} ${message}`).join("; ")}`,
  );
  const suffix = resourceSuffixOf(istio);
  return {
    ...parsed.value,
    revision: suffix,
    revisionLabel: revisionLabelOf({ name: metadata.name ?? "", namespace }),
    pilot: {
      ...parsed.value.pilot,
      k8s: {
        env: [
          ...spec.pilot.additionalEnvVars,
          { name: "ISTIOD_SERVICE_NAME", value: suffix === "" ? "istiod" : `istiod-${suffix}` },
        ],
      },
    },
  };
}

function meshConfigOf(spec: BanzaiIstioSpec, rootNamespace: string): Tree {
  const { proxy, tracing, localityLb } = spec;
  const tracer = tracing?.["tracer"];
  const tracerSettings = typeof tracer === "string" ? tracing?.[tracer] : undefined;
  return definedFields({
    rootNamespace,
    enableAutoMtls: spec.autoMtls,
    trustDomain: spec.trustDomain,
    outboundTrafficPolicy: { mode: spec.outboundTrafficPolicy },
    accessLogFile: proxy.accessLogFile,
    accessLogFormat: proxy.accessLogFormat,
    accessLogEncoding: proxy.accessLogEncoding,
    ...(localityLb === undefined ? {} : { localityLbSetting: localityLb }),
    defaultConfig: definedFields({
      ...(proxy.holdApplicationUntilProxyStarts ? { holdApplicationUntilProxyStarts: true } : {}),
      ...(typeof tracer === "string" && tracerSettings !== undefined ? { tracing: { [tracer]: tracerSettings } } : {}),
    }),
  });
}

interface Images {
  readonly pilot: string;
  readonly proxy: string;
  readonly proxyInit: string;
}

/**
 * The images that the Istio object names. The default is the installing release's images, because no hub has Serin's
 * images under Istio's versions.
 */
function imagesOf({ pilot, proxy, proxyInitImage }: BanzaiIstioSpec, { hub, tag }: ReleaseImages): Images {
  return {
    pilot: pilot.image ?? `${hub}/pilot:${tag}`,
    proxy: proxy.image ?? `${hub}/proxyv2:${tag}`,
    proxyInit: proxyInitImage ?? `${hub}/proxyv2:${tag}`,
  };
}

function valuesOf(spec: BanzaiIstioSpec, images: Images): Tree {
  const { pilot, proxy, sidecarInjector } = spec;
  const minimum = pilot.minReplicas ?? 1;
  const maximum = pilot.maxReplicas ?? 5;
  const injector = [
    "neverInjectSelector",
    "alwaysInjectSelector",
    "injectedAnnotations",
    "rewriteAppHTTPProbe",
    "enableNamespacesByDefault",
  ] as const;
  return {
    global: definedFields({
      imagePullPolicy: spec.imagePullPolicy,
      meshID: spec.meshId,
      network: spec.networkName,
      priorityClassName: spec.priorityClassName,
      multiCluster: spec.clusterName === undefined ? undefined : { clusterName: spec.clusterName },
      defaultPodDisruptionBudget: { enabled: spec.podDisruptionBudget },
      istiod: { enableAnalysis: spec.enableAnalysis },
      proxy: definedFields({
        image: images.proxy,
        clusterDomain: proxy.clusterDomain,
        logLevel: proxy.logLevel,
        componentLogLevel: proxy.componentLogLevel,
        privileged: proxy.privileged,
        resources: proxy.resources,
        includeIPRanges: spec.includeIPRanges,
        excludeIPRanges: spec.excludeIPRanges,
      }),
      proxy_init: { image: images.proxyInit },
    }),
    pilot: definedFields({
      image: images.pilot,
      replicaCount: pilot.replicaCount,
      autoscaleEnabled: maximum > minimum,
      autoscaleMin: minimum,
      autoscaleMax: maximum,
      traceSampling: pilot.traceSampling,
      resources: pilot.resources,
      nodeSelector: pilot.nodeSelector,
      tolerations: pilot.tolerations,
      affinity: pilot.affinity,
      podAnnotations: pilot.podAnnotations,
    }),
    sidecarInjectorWebhook: Object.fromEntries(
      injector.map((field) => [field, sidecarInjector[field]]).filter(([, value]) => value !== undefined),
    ),
  };
}
