import type {
  VirtualServiceHttpRoute,
  VirtualServiceTcpRoute,
  VirtualServiceTlsRoute,
} from "../../../api/istio/index.ts";

/** A VirtualService with qualified names and merged delegates. */
export interface VirtualServiceModel {
  readonly namespace: string;
  readonly name: string;
  readonly createdAt: string;
  /** The hosts, in lower case. */
  readonly hosts: readonly string[];
  /** The gateways, each as `mesh` or `namespace/name`. */
  readonly gateways: readonly string[];
  /** The namespaces that see the VirtualService, or `*`. */
  readonly visibleIn: readonly string[];
  readonly http: readonly VirtualServiceHttpRoute[];
  readonly tls: readonly VirtualServiceTlsRoute[];
  readonly tcp: readonly VirtualServiceTcpRoute[];
}
