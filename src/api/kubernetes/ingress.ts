import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";

/** networking.k8s.io: the older way to say what comes in from outside. */
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
