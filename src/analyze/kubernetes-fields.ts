import { fieldTypes, type FieldTypes } from "../base/field-types/index.ts";
import {
  configMapKind,
  customResourceDefinitionKind,
  daemonSetKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podKind,
  replicaSetKind,
  secretKind,
  serviceKind,
  statefulSetKind,
  validatingWebhookConfigurationKind,
} from "../api/kubernetes/index.ts";

// The types of all fields that analyzers read in kinds without a parser. The API server checks these types, but nobody
// has checked an object in a file. Fields that are mandatory in the types of `api/kubernetes` are filled in if they are
// absent.

const { always, flag, list, number, numberOrText, object, text, textMap, texts } = fieldTypes;

const metadata = object({
  name: text,
  generateName: text,
  namespace: text,
  labels: textMap,
  annotations: textMap,
  ownerReferences: list({
    apiVersion: always(text, ""),
    kind: always(text, ""),
    name: always(text, ""),
    controller: flag,
  }),
});

export const metadataFields: FieldTypes = { metadata: always(metadata, {}) };

const selector = object({
  matchLabels: textMap,
  matchExpressions: list({ key: always(text, ""), operator: always(text, ""), values: texts }),
});
const security = object({ runAsUser: number });
const containers = list({
  name: always(text, ""),
  image: text,
  env: list({ name: always(text, ""), value: text }),
  securityContext: security,
});
const podSpec = object({
  containers: always(containers, []),
  initContainers: containers,
  hostNetwork: flag,
  securityContext: security,
});
const templated: FieldTypes = {
  ...metadataFields,
  spec: object({
    replicas: number,
    template: always(object({ metadata, spec: podSpec }), {}),
    updateStrategy: object({ type: text }),
  }),
};
const webhooks: FieldTypes = {
  ...metadataFields,
  webhooks: list({
    name: always(text, ""),
    clientConfig: always(
      object({ url: text, service: object({ namespace: always(text, ""), name: always(text, "") }) }),
      {},
    ),
    failurePolicy: text,
    namespaceSelector: selector,
    objectSelector: selector,
  }),
};

const described = [
  { kind: namespaceKind, fields: metadataFields },
  { kind: podKind, fields: { ...metadataFields, spec: podSpec, status: object({ phase: text }) } },
  { kind: deploymentKind, fields: templated },
  { kind: statefulSetKind, fields: templated },
  { kind: daemonSetKind, fields: templated },
  { kind: replicaSetKind, fields: templated },
  {
    kind: serviceKind,
    fields: {
      ...metadataFields,
      spec: object({
        type: text,
        externalName: text,
        selector: textMap,
        ports: list({
          name: text,
          protocol: text,
          appProtocol: text,
          port: always(number, 0),
          targetPort: numberOrText,
        }),
      }),
    },
  },
  { kind: secretKind, fields: { ...metadataFields, data: textMap, stringData: textMap } },
  { kind: configMapKind, fields: { ...metadataFields, data: textMap } },
  { kind: mutatingWebhookConfigurationKind, fields: webhooks },
  { kind: validatingWebhookConfigurationKind, fields: webhooks },
  {
    kind: customResourceDefinitionKind,
    fields: {
      ...metadataFields,
      spec: object({
        group: always(text, ""),
        names: always(object({ kind: always(text, "") }), { kind: "" }),
        versions: always(list({ name: always(text, ""), served: flag }), []),
      }),
    },
  },
];

export const kubernetesFields: ReadonlyMap<string, FieldTypes> = new Map(
  described.map(({ kind: { group, kind }, fields }) => [`${group}/${kind}`, fields]),
);
