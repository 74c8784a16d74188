import { istioLabels } from "../../api/istio/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import type { KubernetesObject, UntypedObject } from "../../api/index.ts";
import {
  banzaiIstioKind,
  banzaiMeshGatewayKind,
  isRelease,
  minorOf,
  type BanzaiIstio,
} from "../../api/banzai/index.ts";
import { namespaceKind } from "../../api/kubernetes/index.ts";
import type { ReleaseImages } from "../../install/index.ts";
import { createInformer, EventRecorder, Reconciler, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { OwnedObjects } from "../owned-objects.ts";
import type { BanzaiWorld, IstioObject } from "./banzai-world.ts";
import { reconcileControlPlane } from "./control-plane-reconciler.ts";
import { reconcileGateway } from "./gateway-reconciler.ts";
import { answerRemoteIstios } from "./remote-istios.ts";

export interface BanzaiOperatorOptions {
  readonly client: KubeClient;
  /**
   * The minor release whose Istio objects this operator manages, such as `1.6`. It ignores objects of all other
   * releases.
   */
  readonly minor: string;
  /** The images of this release, for objects that name no images. */
  readonly images: ReleaseImages;
  /** The CRDs of Istio's kinds, which are installed with the first control plane. */
  readonly definitions: () => Promise<readonly UntypedObject[]>;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const ownedKinds = [
  "ServiceAccount",
  "ConfigMap",
  "Service",
  "Deployment",
  "PodDisruptionBudget",
  "HorizontalPodAutoscaler",
  "Role",
  "RoleBinding",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
];
const managedBy = "app.kubernetes.io/managed-by=banzai-istio-operator";
const retryMaxMs = 5000;

/**
 * Banzai Cloud's operator for one minor release. Istio objects become control planes, and MeshGateway objects become
 * gateways.
 */
export class BanzaiOperator {
  readonly #options: BanzaiOperatorOptions;
  readonly #world: BanzaiWorld;
  readonly #events: EventRecorder;
  readonly #controlPlanes: Reconciler;
  readonly #gateways: Reconciler;
  /** The spec.version for which each Istio object was reported as skipped, by uid. Prevents repeated reports. */
  readonly #skipped = new Map<string, string>();
  /** The last warning about each Istio object's settings, by uid. Prevents repeated warnings. */
  readonly #warned = new Map<string, string>();

  constructor(options: BanzaiOperatorOptions) {
    this.#options = options;
    const { client, queues, clock, log, minor, images, definitions } = options;
    this.#events = new EventRecorder({ client, component: `istio-operator-${minor}`, clock, log });
    const informerOptions = { clock, log };
    const owned = new OwnedObjects({
      client,
      labelSelector: managedBy,
      kinds: ownedKinds,
      fieldManager: "banzai-istio-operator",
      clock,
      log,
      onChange: (object) => this.#ownedChanged(object),
    });
    this.#world = {
      client,
      clock,
      log,
      fieldManager: "banzai-istio-operator",
      istios: createInformer(client, banzaiIstioKind, informerOptions),
      gateways: createInformer(client, banzaiMeshGatewayKind, informerOptions),
      namespaces: createInformer<KubernetesObject>(client, namespaceKind, {
        ...informerOptions,
        transform: ({ metadata }) => ({ metadata }),
      }),
      owned,
      images,
      definitions,
      isOurs: (istio) => this.#isOurs(istio),
      warn: (istio, message) => this.#warn(istio, message),
      gatewayAddressesOf: (istio) => this.#addressesOf(istio),
    };
    const { istios, gateways, namespaces } = this.#world;
    const after = [istios.synced, gateways.synced, namespaces.synced, ...owned.synced];
    const reconciling = { queues, clock, log, maxAttempts: Infinity, retryMaxMs, after };
    this.#controlPlanes = new Reconciler({
      ...reconciling,
      name: "istio",
      reconcile: async (key) => await reconcileControlPlane(this.#world, key),
    });
    this.#gateways = new Reconciler({
      ...reconciling,
      name: "mesh-gateway",
      reconcile: async (key) => await reconcileGateway(this.#world, key),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { istios, gateways, namespaces, owned } = this.#world;
    istios.subscribe(({ key, object, type }) => {
      this.#tellForeign(object, type);
      this.#controlPlanes.add(key);
      for (const gateway of gateways.list())
        this.#gateways.add(`${gateway.metadata.namespace ?? ""}/${gateway.metadata.name ?? ""}`);
    });
    gateways.subscribe(({ key }) => {
      this.#gateways.add(key);
      this.#addAllControlPlanes();
    });
    namespaces.subscribe(() => this.#addAllControlPlanes());
    const { client, clock, log } = this.#options;
    const remotes = answerRemoteIstios({ client, clock, log }, signal);
    await Promise.all([
      remotes,
      istios.run(signal),
      gateways.run(signal),
      namespaces.run(signal),
      owned.run(signal),
      this.#controlPlanes.run(signal),
      this.#gateways.run(signal),
    ]);
  }

  #addAllControlPlanes(): void {
    for (const { metadata } of this.#world.istios.list())
      this.#controlPlanes.add(`${metadata.namespace ?? ""}/${metadata.name ?? ""}`);
  }

  #isOurs(istio: IstioObject): boolean {
    const version = istio.spec?.["version"];
    return typeof version === "string" && minorOf(version) === this.#options.minor;
  }

  /** Reports an Istio object of another release. If no operator of that release runs, its author would wait forever. */
  #tellForeign(istio: IstioObject, type: "set" | "delete"): void {
    const version = istio.spec?.["version"];
    if (type === "delete") {
      this.#skipped.delete(istio.metadata.uid ?? "");
      this.#warned.delete(istio.metadata.uid ?? "");
    }
    if (type === "delete" || typeof version !== "string" || !isRelease(version) || this.#isOurs(istio)) return;
    const { minor, log } = this.#options;
    const uid = istio.metadata.uid ?? "";
    if (this.#skipped.get(uid) === version) return;
    this.#skipped.set(uid, version);
    const message = skippedMessage(version, minor);
    log.info("skipping an Istio object", {
      istio: `${istio.metadata.namespace ?? ""}/${istio.metadata.name ?? ""}`,
      why: message,
    });
    if (istio.status?.Status === undefined)
      this.#events.record(banzaiIstioKind, istio, { type: "Normal", reason: "Skipped", message });
  }

  #warn({ metadata, ...istio }: IstioObject, message: string): void {
    const uid = metadata.uid ?? "";
    if (this.#warned.get(uid) === message) return;
    this.#warned.set(uid, message);
    this.#options.log.warn("settings have no effect", {
      istio: `${metadata.namespace ?? ""}/${metadata.name ?? ""}`,
      why: message,
    });
    this.#events.record(banzaiIstioKind, { ...istio, metadata }, { type: "Warning", reason: "WithoutEffect", message });
  }

  #ownedChanged({ metadata }: KubernetesObject): void {
    const gateway = metadata.labels?.["gateway-name"];
    if (gateway !== undefined) {
      this.#gateways.add(`${metadata.namespace ?? ""}/${gateway}`);
      return;
    }
    // The label's value is `<name>.<namespace>`, with dashes instead of the dots in the name.
    const [name = "", namespace = ""] = (metadata.labels?.[istioLabels.revision] ?? "").split(".");
    for (const istio of this.#world.istios.list()) {
      if (istio.metadata.namespace === namespace && istio.metadata.name?.replaceAll(".", "-") === name)
        this.#controlPlanes.add(`${namespace}/${istio.metadata.name}`);
    }
  }

  #addressesOf({ metadata }: BanzaiIstio): string[] {
    const gateways = this.#world.gateways.list().filter(({ spec }) => {
      const named = spec?.["istioControlPlane"] as { readonly name?: string; readonly namespace?: string } | undefined;
      return (
        spec?.["type"] === "ingress" &&
        named?.name === metadata.name &&
        (named?.namespace ?? metadata.namespace) === metadata.namespace
      );
    });
    return gateways.flatMap(({ status }) => status?.GatewayAddress ?? []);
  }
}

/** The message that reports an object that another release's operator must handle. */
export function skippedMessage(version: string, minor: string): string {
  return `version ${version} is not for this operator, which manages Istio ${minor}: install an operator for ${minorOf(version)} too (istioVersion=${minorOf(version)})`;
}
