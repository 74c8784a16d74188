import type {
  VirtualServiceHttpRoute,
  VirtualServiceTcpRoute,
  VirtualServiceTlsRoute,
} from "../../../api/istio/index.ts";

/** A VirtualService with its names qualified and its delegates merged in. */
export interface VirtualServiceModel {
  readonly namespace: string;
  readonly name: string;
  readonly createdAt: string;
  /** Lower case. */
  readonly hosts: readonly string[];
  /** `mesh` or `namespace/name`. */
  readonly gateways: readonly string[];
  /** `*`, or namespaces. */
  readonly visibleIn: readonly string[];
  readonly http: readonly VirtualServiceHttpRoute[];
  readonly tls: readonly VirtualServiceTlsRoute[];
  readonly tcp: readonly VirtualServiceTcpRoute[];
}
