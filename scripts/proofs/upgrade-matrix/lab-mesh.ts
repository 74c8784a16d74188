// The settings of the upgrade matrix for one mesh in a lab: how it is installed, and what the upgrade changes.
import type { Walkthrough } from "../../../test/support/walkthrough.ts";

export const oldRevision = "1-0-0";
export const newRevision = "1-1-0";
export const shop = "shop";
export const edge = "edge";

/** One mesh, which runs in its own lab. */
export interface LabMesh {
  readonly name: string;
  /** The cells of the matrix that the mesh covers, in words. */
  readonly title: string;
  /** The name of the old revision. Absent if the mesh has one revision without a name. */
  readonly from?: string;
  /** The name of the old control plane's Deployment. If absent, the name that an installation gives it. */
  readonly istiod?: string;
  /** The name of the new revision. If absent, {@link newRevision}. */
  readonly to?: string;
  /** The labels of the applications' namespace. */
  readonly labels: Readonly<Record<string, string>>;
  /** The label `istio` of the gateway's pods, and its address in the cluster. */
  readonly gateway: { readonly selector: string; readonly url: string };
  /**
   * Types the commands that install the old revision and the gateway. The namespace of the applications already exists.
   */
  readonly install: (guide: Walkthrough) => Promise<void>;
  /** Types the commands that install the new revision. If absent, the upgrade installs `specs`. */
  readonly bring?: (guide: Walkthrough) => Promise<void>;
  /** Types the commands that remove the retired revision from the installer's own records. */
  readonly forget?: (guide: Walkthrough) => Promise<void>;
  /** The specs of IstioOperators that the upgrade installs. */
  readonly specs?: readonly object[];
  /** Another host behind the gateway, with its path. The load also requests it. */
  readonly alsoAsked?: { readonly path: string; readonly host: string };
  /**
   * Whether the gateway gets no requests that a proxy could count. Then only probes and rejected configuration decide.
   */
  readonly judgedByProbes?: boolean;
  /** Whether a person must type a command that the message of the waiting upgrade names. */
  readonly movedByHand?: boolean;
  /** Whether the upgrade is undone after its end, so that an operator installs the old revision again. */
  readonly undoneAtTheEnd?: boolean;
  /** Types the command by which a person undoes the move by hand, after the upgrade has been undone. */
  readonly moveBack?: (guide: Walkthrough) => Promise<void>;
}

const metadata = (name: string, namespace?: string, labels?: Readonly<Record<string, string>>): object => ({
  name,
  ...(namespace === undefined ? {} : { namespace }),
  ...(labels === undefined ? {} : { labels }),
});

export function namespaceObject(name: string, labels: Readonly<Record<string, string>> = {}): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: metadata(name, undefined, labels) };
}

export function deploymentObject(
  name: string,
  namespace: string,
  template: { readonly metadata: object; readonly spec: object },
  replicas = 2,
): object {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metadata(name, namespace),
    spec: { replicas, selector: { matchLabels: { app: name } }, template },
  };
}

export function serviceObject(name: string, namespace: string, targetPort: number): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(name, namespace),
    spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort }] },
  };
}

export function webTemplate(name: string): { readonly metadata: object; readonly spec: object } {
  const container = {
    name: "web",
    image: "k8s.gcr.io/echoserver:1.10",
    ports: [{ containerPort: 8080 }],
    readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 },
    lifecycle: { preStop: { sleep: { seconds: 3 } } },
  };
  return { metadata: { labels: { app: name } }, spec: { containers: [container] } };
}

/** Returns the objects of an application in the mesh behind a classic gateway, and of a client outside the mesh. */
export function applications({ gateway, alsoAsked }: LabMesh): object[] {
  const routeTo = (host: string): object[] => [{ destination: { host } }];
  const also =
    alsoAsked === undefined ? [] : [{ match: [{ uri: { prefix: alsoAsked.path } }], route: routeTo(alsoAsked.host) }];
  return [
    deploymentObject("web", shop, webTemplate("web")),
    serviceObject("web", shop, 8080),
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: metadata("front", shop),
      spec: {
        selector: { istio: gateway.selector },
        servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
      },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "VirtualService",
      metadata: metadata("web", shop),
      spec: { hosts: ["*"], gateways: ["front"], http: [...also, { route: routeTo("web") }] },
    },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: metadata("client", "outside"),
      spec: { containers: [{ name: "client", image: "curlimages/curl", command: ["/bin/sleep", "infinity"] }] },
    },
  ];
}

export function upgradeObject(mesh: LabMesh, name: string): object {
  const checks = [
    { type: "mtls-probe-matrix", minSamples: 40 },
    ...(mesh.judgedByProbes === true ? [] : [{ type: "request-success-rate", minSamples: 20 }]),
  ];
  return {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "MeshUpgrade",
    metadata: { name },
    spec: {
      from: { revision: mesh.from ?? "default" },
      to: { revision: mesh.to ?? newRevision, ...(mesh.specs === undefined ? {} : { install: mesh.specs }) },
      gateways: { weights: [50, 100] },
      checks,
      settleTimeoutSeconds: 600,
    },
  };
}
