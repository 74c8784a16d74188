import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject, LabelSelector } from "../meta.ts";
import type { NodeSelectorTerm } from "./core.ts";

export interface Endpoint {
  addresses: string[];
  conditions?: { ready?: boolean; serving?: boolean; terminating?: boolean };
  hostname?: string;
  nodeName?: string;
  zone?: string;
  targetRef?: { kind?: string; name?: string; namespace?: string; uid?: string };
}

/** discovery.k8s.io/v1. The label `kubernetes.io/service-name` names its Service. */
export interface EndpointSlice extends KubernetesObject {
  addressType: "IPv4" | "IPv6" | "FQDN";
  endpoints?: Endpoint[];
  ports?: { name?: string; protocol?: string; port?: number; appProtocol?: string }[];
}

export const endpointSliceKind = defineKind<EndpointSlice>({
  group: "discovery.k8s.io",
  versions: ["v1"],
  kind: "EndpointSlice",
  plural: "endpointslices",
  namespaced: true,
});

export interface Lease extends KubernetesObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

export const leaseKind = defineKind<Lease>({
  group: "coordination.k8s.io",
  versions: ["v1"],
  kind: "Lease",
  plural: "leases",
  namespaced: true,
});

export interface CustomResourceDefinition extends KubernetesObject {
  spec?: {
    group: string;
    names: {
      plural: string;
      singular?: string;
      kind: string;
      listKind?: string;
      shortNames?: string[];
      categories?: string[];
    };
    scope: "Namespaced" | "Cluster";
    versions: CustomResourceVersion[];
    conversion?: { strategy: "None" | "Webhook" };
    preserveUnknownFields?: boolean;
  };
  status?: {
    conditions?: Record<string, string>[];
    acceptedNames?: Record<string, unknown>;
    storedVersions?: string[];
  };
}

export interface CustomResourceVersion {
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  deprecationWarning?: string;
  schema?: { openAPIV3Schema?: Record<string, unknown> };
  subresources?: {
    status?: Record<string, never>;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: {
    name: string;
    type: string;
    jsonPath: string;
    description?: string;
    format?: string;
    priority?: number;
  }[];
  selectableFields?: { jsonPath: string }[];
}

export const customResourceDefinitionKind = defineKind<CustomResourceDefinition>({
  group: "apiextensions.k8s.io",
  versions: ["v1"],
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
});

export interface WebhookClientConfig {
  url?: string;
  service?: { namespace: string; name: string; path?: string; port?: number };
  caBundle?: string;
}

export interface Webhook {
  name: string;
  clientConfig: WebhookClientConfig;
  rules?: {
    operations?: string[];
    apiGroups?: string[];
    apiVersions?: string[];
    resources?: string[];
    scope?: string;
  }[];
  failurePolicy?: "Ignore" | "Fail";
  matchPolicy?: "Exact" | "Equivalent";
  namespaceSelector?: LabelSelector;
  objectSelector?: LabelSelector;
  sideEffects?: string;
  timeoutSeconds?: number;
  admissionReviewVersions?: string[];
  reinvocationPolicy?: "Never" | "IfNeeded";
}

export interface WebhookConfiguration extends KubernetesObject {
  webhooks?: Webhook[];
}

export const mutatingWebhookConfigurationKind = defineKind<WebhookConfiguration>({
  group: "admissionregistration.k8s.io",
  versions: ["v1"],
  kind: "MutatingWebhookConfiguration",
  plural: "mutatingwebhookconfigurations",
  namespaced: false,
});

export const validatingWebhookConfigurationKind = defineKind<WebhookConfiguration>({
  group: "admissionregistration.k8s.io",
  versions: ["v1"],
  kind: "ValidatingWebhookConfiguration",
  plural: "validatingwebhookconfigurations",
  namespaced: false,
});

export interface PodDisruptionBudget extends KubernetesObject {
  spec?: { minAvailable?: number | string; maxUnavailable?: number | string; selector?: LabelSelector };
  status?: {
    observedGeneration?: number;
    disruptionsAllowed: number;
    currentHealthy: number;
    desiredHealthy: number;
    expectedPods: number;
    disruptedPods?: Record<string, string>;
    conditions?: Condition[];
  };
}

export const podDisruptionBudgetKind = defineKind<PodDisruptionBudget>({
  group: "policy",
  versions: ["v1"],
  kind: "PodDisruptionBudget",
  plural: "poddisruptionbudgets",
  namespaced: true,
});

/**
 * Whether a budget delays an update that removes this many pods before their successors are ready (`podsTakenAtOnce`).
 * An update that removes no pods early is delayed only if pods are missing already.
 */
export function delaysUpdate(status: PodDisruptionBudget["status"], taken: number): boolean {
  const { disruptionsAllowed = 0, currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return taken === 0 ? currentHealthy < desiredHealthy : disruptionsAllowed < taken;
}

/** metallb.io/v1beta1. Addresses are CIDRs or ranges `a-b`. */
export interface IPAddressPool extends KubernetesObject {
  spec?: { addresses: string[]; autoAssign?: boolean; avoidBuggyIPs?: boolean };
}

export const ipAddressPoolKind = defineKind<IPAddressPool>({
  group: "metallb.io",
  versions: ["v1beta1"],
  kind: "IPAddressPool",
  plural: "ipaddresspools",
  namespaced: true,
});

/** metallb.io/v1beta1. Announces pools. Without a selector, it announces all pools. */
export interface L2Advertisement extends KubernetesObject {
  spec?: {
    ipAddressPools?: string[];
    ipAddressPoolSelectors?: LabelSelector[];
    nodeSelectors?: LabelSelector[];
    interfaces?: string[];
  };
}

export const l2AdvertisementKind = defineKind<L2Advertisement>({
  group: "metallb.io",
  versions: ["v1beta1"],
  kind: "L2Advertisement",
  plural: "l2advertisements",
  namespaced: true,
});

/** certificates.k8s.io: the roots that verify a signer's certificates. */
export interface ClusterTrustBundle extends KubernetesObject {
  spec: { signerName?: string; trustBundle: string };
}

export const clusterTrustBundleKind = defineKind<ClusterTrustBundle>({
  group: "certificates.k8s.io",
  versions: ["v1beta1"],
  kind: "ClusterTrustBundle",
  plural: "clustertrustbundles",
  namespaced: false,
});

/** The backend of an Ingress, which is Kubernetes' older API for inbound traffic. */
export interface IngressBackend {
  readonly service?: { readonly name: string; readonly port?: { readonly name?: string; readonly number?: number } };
  readonly resource?: { readonly apiGroup?: string; readonly kind: string; readonly name: string };
}

export interface IngressPath {
  readonly path?: string;
  readonly pathType?: "Exact" | "Prefix" | "ImplementationSpecific";
  readonly backend?: IngressBackend;
}

export interface IngressAddress {
  readonly ip?: string;
  readonly hostname?: string;
}

export interface Ingress extends KubernetesObject {
  spec?: {
    readonly ingressClassName?: string;
    readonly defaultBackend?: IngressBackend;
    readonly tls?: readonly { readonly hosts?: readonly string[]; readonly secretName?: string }[];
    readonly rules?: readonly { readonly host?: string; readonly http?: { readonly paths?: readonly IngressPath[] } }[];
  };
  status?: { readonly loadBalancer?: { readonly ingress?: readonly IngressAddress[] } };
}

export const ingressKind = defineKind<Ingress>({
  group: "networking.k8s.io",
  versions: ["v1"],
  kind: "Ingress",
  plural: "ingresses",
  namespaced: true,
});

export interface IngressClass extends KubernetesObject {
  spec?: { readonly controller?: string };
}

export const ingressClassKind = defineKind<IngressClass>({
  group: "networking.k8s.io",
  versions: ["v1"],
  kind: "IngressClass",
  plural: "ingressclasses",
  namespaced: false,
});

export interface CertificateSigningRequest extends KubernetesObject {
  spec?: {
    /** Base64 of the PKCS #10 request in PEM. */
    request: string;
    signerName: string;
    usages?: string[];
    expirationSeconds?: number;
    username?: string;
  };
  status?: {
    /** Base64 of the certificates in PEM. */
    certificate?: string;
    conditions?: CertificateCondition[];
  };
}

export interface CertificateCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastUpdateTime?: string;
  lastTransitionTime?: string;
}

export const certificateSigningRequestKind = defineKind<CertificateSigningRequest>({
  group: "certificates.k8s.io",
  versions: ["v1"],
  kind: "CertificateSigningRequest",
  plural: "certificatesigningrequests",
  namespaced: false,
});

export type AccessMode = "ReadWriteOnce" | "ReadOnlyMany" | "ReadWriteMany" | "ReadWriteOncePod";

export interface PersistentVolumeClaim extends KubernetesObject {
  spec?: {
    accessModes?: AccessMode[];
    resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
    selector?: LabelSelector;
    /**
     * The volume's class. Admission replaces an absent class by the default class. If it is empty, only volumes without
     * a class fit.
     */
    storageClassName?: string;
    volumeMode?: "Filesystem" | "Block";
    volumeName?: string;
    dataSource?: { kind: string; name: string };
    dataSourceRef?: { kind: string; name: string };
  };
  status?: { phase?: "Pending" | "Bound" | "Lost"; accessModes?: AccessMode[]; capacity?: Record<string, string> };
}

export const persistentVolumeClaimKind = defineKind<PersistentVolumeClaim>({
  group: "",
  versions: ["v1"],
  kind: "PersistentVolumeClaim",
  plural: "persistentvolumeclaims",
  namespaced: true,
});

export interface PersistentVolume extends KubernetesObject {
  spec?: {
    accessModes?: AccessMode[];
    capacity?: Record<string, string>;
    claimRef?: { apiVersion?: string; kind?: string; namespace?: string; name?: string; uid?: string };
    hostPath?: { path: string; type?: string };
    local?: { path: string };
    nodeAffinity?: { required?: { nodeSelectorTerms: NodeSelectorTerm[] } };
    persistentVolumeReclaimPolicy?: "Retain" | "Delete" | "Recycle";
    storageClassName?: string;
    volumeMode?: "Filesystem" | "Block";
  };
  status?: { phase?: "Pending" | "Available" | "Bound" | "Released" | "Failed"; message?: string; reason?: string };
}

export const persistentVolumeKind = defineKind<PersistentVolume>({
  group: "",
  versions: ["v1"],
  kind: "PersistentVolume",
  plural: "persistentvolumes",
  namespaced: false,
});

export interface StorageClass extends KubernetesObject {
  provisioner: string;
  reclaimPolicy?: "Retain" | "Delete";
  volumeBindingMode?: "Immediate" | "WaitForFirstConsumer";
  allowVolumeExpansion?: boolean;
}

export const storageClassKind = defineKind<StorageClass>({
  group: "storage.k8s.io",
  versions: ["v1"],
  kind: "StorageClass",
  plural: "storageclasses",
  namespaced: false,
});

export interface NetworkPolicyPort {
  protocol?: "TCP" | "UDP" | "SCTP";
  port?: number | string;
  endPort?: number;
}

export interface NetworkPolicyPeer {
  podSelector?: LabelSelector;
  namespaceSelector?: LabelSelector;
  ipBlock?: { cidr: string; except?: string[] };
}

export interface NetworkPolicy extends KubernetesObject {
  spec?: {
    /** Absent means all pods of the namespace. */
    podSelector?: LabelSelector;
    ingress?: { from?: NetworkPolicyPeer[]; ports?: NetworkPolicyPort[] }[];
    egress?: { to?: NetworkPolicyPeer[]; ports?: NetworkPolicyPort[] }[];
    policyTypes?: ("Ingress" | "Egress")[];
  };
}

export const networkPolicyKind = defineKind<NetworkPolicy>({
  group: "networking.k8s.io",
  versions: ["v1"],
  kind: "NetworkPolicy",
  plural: "networkpolicies",
  namespaced: true,
});
