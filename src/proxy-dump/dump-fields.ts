import { fieldTypes, type FieldType, type FieldTypes } from "../base/field-types/index.ts";

// The types of all fields that are read from a dump. Anybody may have edited a saved dump, so a field of another type
// counts as absent.

const { always, list, mapOf, number, object, record, text, texts } = fieldTypes;

const metadata = object({ filterMetadata: object({ istio: record }) });
const address = object({
  socketAddress: object({ address: text, portValue: number }),
  pipe: object({ path: text }),
  envoyInternalAddress: object({ serverListenerName: text, endpointId: text }),
});
const additionalAddresses = list({ address });
const ranges = list({ addressPrefix: text, prefixLen: number });

/** A matcher of xDS contains further matchers. */
const onMatch: FieldType = (...field) => object(onMatchFields)(...field);
const matcher: FieldType = (...field) => object(matcherFields)(...field);
const onMatchFields: FieldTypes = { action: object({ name: text }), matcher };
const branches = object({ map: mapOf(onMatchFields) });
const matcherFields: FieldTypes = {
  onNoMatch: onMatch,
  matcherTree: object({
    input: object({ name: text }),
    exactMatchMap: branches,
    prefixMatchMap: branches,
    customMatch: object({ typedConfig: object({ rangeMatchers: list({ ranges, onMatch }) }) }),
  }),
};
const chain: FieldTypes = {
  name: text,
  filterChainMatch: object({
    serverNames: texts,
    transportProtocol: text,
    applicationProtocols: texts,
    destinationPort: number,
    prefixRanges: ranges,
  }),
  filters: list({ name: text, typedConfig: record }),
};

export const clusterFields: FieldTypes = { name: text, type: text, metadata };

export const listenerFields: FieldTypes = {
  name: text,
  address,
  additionalAddresses,
  filterChains: list(chain),
  defaultFilterChain: object(chain),
  filterChainMatcher: matcher,
};

export const routeFields: FieldTypes = {
  name: text,
  virtualHosts: list({
    name: text,
    domains: texts,
    routes: list({
      name: text,
      match: object({ prefix: text, path: text, pathSeparatedPrefix: text, safeRegex: object({ regex: text }) }),
      route: object({ cluster: text }),
      metadata,
    }),
  }),
};

export const routingFilterFields: FieldTypes = {
  routeConfig: object(routeFields),
  rds: object({ routeConfigName: text }),
  cluster: text,
  weightedClusters: object({ clusters: list({ name: text, weight: number }) }),
};

export const endpointFields: FieldTypes = {
  clusterName: text,
  endpoints: list({
    locality: object({ region: text, zone: text, subZone: text }),
    lbEndpoints: list({ endpoint: object({ address, additionalAddresses }), healthStatus: text }),
  }),
};

const inline = object({ inlineBytes: text });

export const secretFields: FieldTypes = {
  name: text,
  versionInfo: text,
  secret: object({
    tlsCertificate: object({ certificateChain: inline }),
    validationContext: object({
      trustedCa: inline,
      customValidatorConfig: object({
        typedConfig: object({ trustDomains: list({ name: text, trustBundle: inline }) }),
      }),
    }),
  }),
};

export const extensionFields: FieldTypes = { name: text, typedConfig: record };

export const clusterStatusFields: FieldTypes = {
  clusterStatuses: list({
    name: text,
    hostStatuses: list({
      address,
      healthStatus: object({ edsHealthStatus: text, failedOutlierCheck: fieldTypes.flag }),
    }),
  }),
};

/** The fields of a node that `proxy-config bootstrap` shows. */
export const nodeFields: FieldTypes = {
  metadata: record,
  userAgentBuildVersion: object({
    version: object({ majorNumber: number, minorNumber: number, patch: number }),
    metadata: fieldTypes.textMap,
  }),
};

const required = always(text, "");
const named = object({ namespace: required, hostname: required });
const gateway = object({
  destination: always((...field) => (typeof field[0] === "string" ? text : named)(...field), ""),
});
const certificates = list({ serialNumber: required, validFrom: required, expirationTime: required });
const connections = list({ src: required, originalDst: text, actualDst: required, protocol: required });
/** Objects in a list, or by keys as older releases send them. */
const dumped =
  (fields: FieldTypes): FieldType =>
  (...field) =>
    (Array.isArray(field[0]) ? list(fields) : mapOf(fields))(...field);

export const ztunnelFields: FieldTypes = {
  workloads: dumped({
    name: required,
    namespace: required,
    workloadIps: texts,
    hostname: text,
    node: text,
    protocol: required,
    waypoint: gateway,
    uid: text,
    status: text,
  }),
  services: dumped({
    name: required,
    namespace: required,
    hostname: required,
    vips: always(texts, []),
    waypoint: gateway,
    endpoints: mapOf({ status: text, workloadUid: text }),
  }),
  policies: list({ name: required, namespace: required, action: required, scope: required }),
  certificates: list({ identity: required, state: required, certChain: certificates, rootCerts: certificates }),
  workloadState: mapOf({
    state: required,
    connections: object({ inbound: connections, outbound: connections }),
    info: object({ name: required, namespace: required }),
  }),
};
