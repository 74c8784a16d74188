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
  /** In lower case. */
  readonly hosts: readonly string[];
  /** `mesh` or `namespace/name`. */
  readonly gateways: readonly string[];
  /** `*`, or a list of namespaces. */
  readonly visibleIn: readonly string[];
  readonly http: readonly VirtualServiceHttpRoute[];
  readonly tls: readonly VirtualServiceTlsRoute[];
  readonly tcp: readonly VirtualServiceTcpRoute[];
}
