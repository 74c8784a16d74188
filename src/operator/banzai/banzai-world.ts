import type { Clock, Logger } from "../../base/index.ts";
import type { KubernetesObject, UntypedObject, KindDefinition } from "../../api/index.ts";
import type { banzaiIstioKind, banzaiMeshGatewayKind, BanzaiIstio } from "../../api/banzai/index.ts";
import type { ReleaseImages } from "../../install/index.ts";
import type { Informer, KubeClient } from "../../kube/index.ts";
import type { OwnedObjects } from "../owned-objects.ts";

type ObjectOf<Kind> = Kind extends KindDefinition<infer Value> ? Value : never;
export type IstioObject = ObjectOf<typeof banzaiIstioKind>;
export type MeshGatewayObject = ObjectOf<typeof banzaiMeshGatewayKind>;

/** The parts that the reconcilers of an operator share. */
export interface BanzaiWorld {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly fieldManager: string;
  readonly istios: Informer<IstioObject>;
  readonly gateways: Informer<MeshGatewayObject>;
  readonly namespaces: Informer<KubernetesObject>;
  readonly owned: OwnedObjects;
  /** The images for objects that name no images. */
  readonly images: ReleaseImages;
  readonly definitions: () => Promise<readonly UntypedObject[]>;
  /** Whether the object's version belongs to the minor release that this operator manages. */
  readonly isOurs: (istio: IstioObject) => boolean;
  /** Reports settings of an object that have no effect, once. */
  readonly warn: (istio: IstioObject, message: string) => void;
  readonly gatewayAddressesOf: (istio: BanzaiIstio) => string[];
}
