import { fieldTypes, type FieldTypes } from "../../base/field-types/index.ts";

// The types of the fields that `describe` reads. CRDs of old releases have no schema for these fields, so they may have
// any content.

const { always, list, mapOf, number, object, record, text, textMap, texts } = fieldTypes;

const port = object({ number, protocol: text });
const match = { exact: text, prefix: text, regex: text };
const route = list({ destination: object({ host: text, subset: text, port }), weight: number });

export const virtualServiceFields: FieldTypes = {
  hosts: texts,
  gateways: texts,
  http: list({
    match: list({ uri: object(match), headers: mapOf(match), gateways: texts }),
    route,
  }),
  tls: list({ route }),
  tcp: list({ route }),
};

const policy = {
  tls: object({ mode: text }),
  loadBalancer: record,
  connectionPool: record,
  outlierDetection: record,
};

export const destinationRuleFields: FieldTypes = {
  host: text,
  subsets: list({ name: always(text, ""), labels: textMap }),
  trafficPolicy: object({ ...policy, portLevelSettings: list({ ...policy, port }) }),
};

const selector = object({ matchLabels: textMap });

export const peerAuthenticationFields: FieldTypes = {
  selector,
  mtls: object({ mode: text }),
  portLevelMtls: mapOf({ mode: text }),
};

export const authorizationPolicyFields: FieldTypes = { selector, action: text, targetRefs: list({}) };

export const gatewayFields: FieldTypes = { selector: textMap, servers: list({ port }) };

export const httpRouteFields: FieldTypes = {
  parentRefs: list({ kind: text, name: text, namespace: text }),
  rules: list({
    matches: list({ path: object({ type: text, value: text }) }),
    backendRefs: list({ name: text, namespace: text, weight: number }),
  }),
};
